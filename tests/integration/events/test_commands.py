"""`penstock events` as an operator calls it, on real servers, with no service running."""

import asyncio
import json
import signal
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest
from typer.testing import CliRunner, Result

from penstock.main import app
from penstock_common.contracts.base import encode
from penstock_common.contracts.runs import StartRun, Trigger
from penstock_common.errors import PenstockError
from penstock_common.events.cloudevents import parse_line
from penstock_common.events.event import StoredEvent
from penstock_common.ids import day_of, uuid7
from tests.support.databases import Databases
from tests.support.outboxes import an_event, insert, spread

pytestmark = pytest.mark.integration

NOW = datetime.now(UTC)


def events(databases: Databases, command: str, *arguments: str) -> Result:
    """Run a command in this process."""
    return CliRunner().invoke(app, ["events", command, *arguments, "--database", databases.audit])


async def listed(databases: Databases, *arguments: str) -> list[dict[str, Any]]:
    """What `ls --json` prints."""
    result = await asyncio.to_thread(events, databases, "ls", "--json", *arguments)
    assert result.exception is None, result.exception
    return [json.loads(line) for line in result.stdout.splitlines()]


def ids(events: list[StoredEvent]) -> list[str]:
    """The rows' ids in order."""
    return [str(event.id) for event in sorted(events, key=lambda event: event.id)]


async def test_ls_shows_the_newest_and_goes_on_from_any(
    platform_databases: Databases, writing: asyncpg.Connection
) -> None:
    """The oldest of them first; behind a row the first ones."""
    said = spread(120)
    await insert(writing, said)
    assert [each["id"] for each in await listed(platform_databases)] == ids(said)[-50:]
    after = ids(said)[9]
    assert [each["id"] for each in await listed(platform_databases, "--after", after, "-n", "5")] == ids(said)[10:15]
    table = await asyncio.to_thread(events, platform_databases, "ls", "-n", "3")
    assert table.stdout.count("billing.usage.recorded.v1") == 3
    assert "--limit" in table.stderr


async def test_ls_takes_each_filter(platform_databases: Databases, writing: asyncpg.Connection) -> None:
    """By option; what they mean is tested where they are chosen."""
    headers = {
        "penstock-correlation": "c",
        "penstock-tenant": str(uuid7()),
        "traceparent": f"00-{'a' * 32}-{'b' * 16}-01",
    }
    one = an_event(NOW - timedelta(minutes=30), "cmd.a.b.c.v1", "api", headers, message_id="m")
    await insert(writing, [one, *spread(3)])
    for option in (
        ["--since", "2h"],
        ["--since", (NOW - timedelta(hours=1)).isoformat(), "--until", "10m"],
        ["--topic", "cmd.>"],
        ["--topic", "no.such.one", "--topic", "cmd.*.b.c.v1"],
        ["--service", "api", "--since", "2h"],
        ["--tenant", headers["penstock-tenant"]],
        ["--correlation", "c"],
        ["--trace", "A" * 32],
        ["--id", "m"],
        ["--attribute", "type=penstock.cmd.a.b.c.v1"],
        ["--kind", "command"],
    ):
        assert [each["id"] for each in await listed(platform_databases, *option)] == [str(one.id)], option


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--since", "yesterday"], "--since"),
        (["--topic", "a b"], "no topic"),
        (["--service", "nobody"], "there are api"),
        (["--tenant", "x"], "--tenant"),
        (["--trace", "x"], "no trace id"),
        (["--attribute", "x"], "NAME=VALUE"),
        (["--attribute", "it's=x"], "no CloudEvents attribute"),
        (["--after", "x"], "no row id"),
        (["--correlation", "x" * 300], "longer than"),
        (["--stream", "NONE", "--bus", "nats://127.0.0.1:1"], "there are API"),
    ],
)
def test_what_can_not_be_understood_is_said(platform_databases: Databases, arguments: list[str], said: str) -> None:
    """Which option, and what it should be."""
    result = events(platform_databases, "ls", *arguments)
    assert isinstance(result.exception, PenstockError)
    assert said in str(result.exception)


async def test_a_database_that_is_away_is_said() -> None:
    """With another exit code than an empty list."""
    command = (sys.executable, "-m", "penstock.main", "events", "ls", "--database", "postgresql://x@127.0.0.1:1/x")
    process = await asyncio.create_subprocess_exec(*command, stdout=-1, stderr=-1)
    _, errors = await process.communicate()
    assert (process.returncode, b"can't be read" in errors, b"Traceback" in errors) == (2, True, False)


async def test_show_tells_what_became_of_an_event(platform_databases: Databases, writing: asyncpg.Connection) -> None:
    """Handled by whom and when, dead, or waiting; what is sealed only by its size."""
    run_id = uuid7()
    command = StartRun(run_id=run_id, tenant=run_id, key_id=run_id, trigger=Trigger.API, task="t", sealed=b"secret" * 3)
    event = an_event(
        datetime.now(UTC), "cmd.worker.run.start.v1", "api", message_id=f"{run_id}.start", body=encode(command)
    )
    await insert(writing, [event])
    told = await shown(platform_databases, f"{run_id}.start")
    assert told["fields"]["sealed"] == "(18 sealed bytes)"
    assert told["fields"]["run_id"] == str(run_id)
    assert told["consumers"] == [{"consumer": "worker-start-run", "state": "waiting"}]
    await writing.execute(DEAD, uuid7(), uuid7().bytes, "worker-start-run", f"{run_id}.start")
    [dead] = (await shown(platform_databases, str(event.id)))["consumers"]
    assert (dead["state"], dead["code"]) == ("dead", "worker.broken")
    day = day_of(str(run_id))
    await writing.execute(INBOX, day, "worker-start-run", f"{run_id}.start")
    [handled] = (await shown(platform_databases, f"{run_id}.start"))["consumers"]
    assert (handled["state"], "at" in handled) == ("handled", True)
    people = await asyncio.to_thread(events, platform_databases, "show", f"{run_id}.start")
    assert "worker-start-run" in people.stdout
    assert "secret" not in people.stdout


INBOX = "insert into worker.inbox (day, consumer, message_id, fingerprint) values ($1, $2, $3, '')"
DEAD = """
insert into api.dead_letters (id, identity, consumer, subject, message_id, code, reason, attempts, story, headers, body,
    first_failed_at, last_failed_at, collected_at, changed_at)
values ($1, $2, $3, 's', $4, 'worker.broken', 'because', 3, '[]', '{}', '', now(), now(), now(), now())
"""


async def shown(databases: Databases, event: str) -> dict[str, Any]:
    """What `show --json` prints."""
    result = await asyncio.to_thread(events, databases, "show", event, "--json")
    assert result.exception is None, result.exception
    told: dict[str, Any] = json.loads(result.stdout)
    return told


@pytest.mark.parametrize("event", ["x", "01a2009d-463a-7567-9141-86299c0974c9.no", "' or true --"])
def test_show_of_what_is_not_there(platform_databases: Databases, event: str) -> None:
    """A sentence, and exit code 1."""
    result = events(platform_databases, "show", event)
    assert isinstance(result.exception, PenstockError)
    assert result.exception.exit_status == 1  # type: ignore[attr-defined]


async def test_a_body_that_does_not_fit_is_shown_as_a_problem(
    platform_databases: Databases, writing: asyncpg.Connection
) -> None:
    """Neither hides the event nor ends the command."""
    broken = an_event(NOW, body=b"{")
    strange = an_event(NOW, "no.such.topic.v1", "api")
    await insert(writing, [broken, strange])
    assert "UsageRecorded" in (await shown(platform_databases, str(broken.id)))["problem"]
    assert "knows no topic" in (await shown(platform_databases, str(strange.id)))["problem"]


async def test_export_writes_every_row_and_goes_on(
    platform_databases: Databases, writing: asyncpg.Connection, tmp_path: Path
) -> None:
    """To a file, then behind what is settled; a file is never overwritten."""
    said = [an_event(NOW - timedelta(hours=1) + timedelta(seconds=n), service="api") for n in range(20)]
    await insert(writing, said)
    target = tmp_path / "events.jsonl"
    result = await asyncio.to_thread(events, platform_databases, "export", "--to", str(target))
    assert result.exit_code == 0, result.exception
    assert [parse_line(line) for line in target.read_bytes().splitlines()] == sorted(said, key=lambda e: e.id)
    assert f"20 events; a later export goes on with --after {ids(said)[-1]}" in result.stderr
    later = an_event(NOW, service="worker")
    await insert(writing, [later])
    more = await asyncio.to_thread(events, platform_databases, "export", "--after", ids(said)[-1])
    assert [parse_line(line.encode()) for line in more.stdout.splitlines()] == [later]
    again = await asyncio.to_thread(events, platform_databases, "export", "--to", str(target))
    assert "exists" in str(again.exception)


@pytest.mark.parametrize("kept", [0, 1, 500, 4_321])
async def test_an_export_that_was_cut_goes_on_exactly(
    platform_databases: Databases, writing: asyncpg.Connection, tmp_path: Path, kept: int
) -> None:
    """At any byte: nothing twice, nothing left out, not even what was committed late meanwhile."""
    said = [an_event(NOW - timedelta(hours=1) + timedelta(minutes=n), service="api") for n in range(40)]
    late = an_event(NOW - timedelta(minutes=59, seconds=30), service="worker")
    await insert(writing, said)
    target = tmp_path / "events.jsonl"
    await asyncio.to_thread(events, platform_databases, "export", "--to", str(target))
    target.write_bytes(target.read_bytes()[:kept])
    await insert(writing, [late])
    result = await asyncio.to_thread(events, platform_databases, "export", "--to", str(target), "--resume")
    assert result.exit_code == 0, result.exception
    lines = [parse_line(line) for line in target.read_bytes().splitlines()]
    assert sorted(lines, key=lambda e: e.id) == sorted([*said, late], key=lambda e: e.id)


async def test_a_file_of_another_kind_is_left_alone(platform_databases: Databases, tmp_path: Path) -> None:
    """Going on with it is refused, and it stays as it was."""
    target = tmp_path / "notes.txt"
    target.write_text("mine\n")
    result = await asyncio.to_thread(events, platform_databases, "export", "--to", str(target), "--resume")
    assert "no export wrote" in str(result.exception)
    assert target.read_text() == "mine\n"


CONNECTED = """
select count(*) from pg_stat_activity where application_name = 'penstock-events' and datname = current_database()
"""


async def test_tail_follows_until_it_is_interrupted(platform_databases: Databases, writing: asyncpg.Connection) -> None:
    """Each event is a line at once; Ctrl-C ends it without a traceback."""
    command = (
        sys.executable,
        "-m",
        "penstock.main",
        "events",
        "tail",
        "--json",
        "--since",
        "5m",
        "--database",
        platform_databases.audit,
    )
    process = await asyncio.create_subprocess_exec(*command, stdout=-1, stderr=-1)
    assert process.stdout
    assert process.stderr
    while not await writing.fetchval(CONNECTED):
        await asyncio.sleep(0.05)
    await asyncio.sleep(0.5)
    event = an_event(datetime.now(UTC))
    await insert(writing, [event])
    line = await asyncio.wait_for(process.stdout.readline(), 10)
    assert msgspec.json.decode(line)["id"] == str(event.id)
    process.send_signal(signal.SIGINT)
    assert await asyncio.wait_for(process.wait(), 10) == 130
    assert b"Traceback" not in await process.stderr.read()
