"""`penstock archive` on an archive with days, and with damage."""

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from penstock.archiving.place import ArchiveChoiceInvalid
from penstock.main import app
from penstock_common.archive.archiver import advance
from penstock_common.archive.closing import close_day
from penstock_common.archive.day import read_day
from penstock_common.archive.layout import data_key, index_key
from penstock_common.objects import LocalObjects
from penstock_common.objects_url import ObjectsUrlInvalid
from tests.support.archiving import SERVICE, Outbox, ago

pytestmark = pytest.mark.integration

OLD, YOUNG = ago(days=5).replace(hour=6), ago(days=2).replace(hour=6)


async def penstock(*words: str) -> Result:
    """Run a command of ours in a thread, where it has an event loop of its own."""
    return await asyncio.to_thread(CliRunner().invoke, app, ["archive", *words])


async def told(*words: str) -> Any:
    """What a program is told."""
    return json.loads((await penstock(*words, "--json")).stdout)


@pytest.fixture
async def place(outbox: Outbox, local: LocalObjects) -> str:
    """An archive of two days of which the first is closed; gives its address."""
    await outbox.say_many(OLD, 600)
    await outbox.say(YOUNG)
    await advance(local, outbox.source, datetime.now(UTC))
    await close_day(local, outbox.source, OLD.date(), datetime.now(UTC))
    return str(local.folder)


async def test_ls_lists_days(place: str) -> None:
    """With what they hold, for people and for programs."""
    result = await penstock("ls", "--archive", place)
    assert result.exit_code == 0
    assert str(OLD.date()) in result.stdout
    days = (await told("ls", "--archive", place))["days"]
    assert [(d["day"], d["state"], d["events"]) for d in days] == [
        (str(OLD.date()), "closed", 600),
        (str(YOUNG.date()), "open", 1),
    ]
    later = await told("ls", "--archive", place, "--since", str(YOUNG.date()))
    assert [day["day"] for day in later["days"]] == [str(YOUNG.date())]
    assert (await told("ls", "--archive", place, "--service", "billing"))["days"] == []


async def test_an_archive_that_is_empty_says_so(tmp_path: Path) -> None:
    """And is not damaged."""
    for command in ("ls", "verify"):
        assert (await penstock(command, "--archive", str(tmp_path / "none"))).exit_code == 0


async def test_verify_reads_everything_back(place: str) -> None:
    """And counts it."""
    facts = await told("verify", "--archive", place)
    assert (facts["events"], facts["damaged"]) == (601, [])
    assert "nothing is damaged" in (await penstock("verify", "--archive", place)).stdout


@pytest.mark.parametrize("how", ["bit", "tail", "longer", "index"])
async def test_verify_names_what_is_damaged(place: str, local: LocalObjects, how: str) -> None:
    """And fails."""
    (segment,) = (await read_day(local, SERVICE, OLD.date())).segments
    path = local.folder / data_key(SERVICE, OLD.date(), segment.data)
    content = path.read_bytes()
    if how == "index":
        (local.folder / index_key(SERVICE, OLD.date(), 1)).unlink()
    else:
        changed = {"bit": bytes([content[0] ^ 1]) + content[1:], "tail": content[:-1], "longer": content + b"\0"}
        path.write_bytes(changed[how])
    result = await penstock("verify", "--archive", place)
    assert result.exit_code == 1
    assert "damaged: events/trial/" in result.stdout
    (damage,) = (await told("verify", "--archive", place))["damaged"]
    assert damage["events"] == {"bit": 512, "tail": 88, "longer": 0, "index": None}[how]
    assert (await penstock("ls", "--archive", place)).exit_code == (1 if how == "index" else 0)


async def test_show_describes_a_segment(place: str) -> None:
    """By service, day and number."""
    name = f"trial/{OLD:%Y/%m/%d}/1"
    segment = await told("show", name, "--archive", place)
    assert [member["count"] for member in segment["members"]] == [512, 88]
    assert "api.key.revoked.v1 512" in (await penstock("show", name, "--archive", place)).stdout


async def test_what_can_not_be_meant_is_said(place: str) -> None:
    """With what to write instead."""
    for words, error, sentence in (
        (["show", "trial/2026/13/01/1"], ArchiveChoiceInvalid, "names no segment"),
        (["show", f"trial/{OLD:%Y/%m/%d}/7"], ArchiveChoiceInvalid, "there is 1"),
        (["ls", "--since", "yesterday"], ArchiveChoiceInvalid, "write it as 2026-11-30"),
        (["ls", "--service", "kafka"], ArchiveChoiceInvalid, "billing"),
        (["due", "--hot-days", "400"], ArchiveChoiceInvalid, "more than"),
        (["ls", "--archive", "ftp://somewhere"], ObjectsUrlInvalid, "s3://"),
        (["ls", "--archive", "s3://key:secret@bucket"], ObjectsUrlInvalid, "AWS_ACCESS_KEY_ID"),
    ):
        result = await penstock(*words, *(() if "--archive" in words else ("--archive", place)))
        assert isinstance(result.exception, error)
        assert sentence in str(result.exception)
        assert "secret" not in str(result.exception).replace("AWS_SECRET_ACCESS_KEY", "").lower()


async def test_due_is_a_dry_run(outbox: Outbox, place: str, trial_url: str) -> None:
    """What is past its time, and why something of it stays; nothing changes."""
    words = ["due", "--archive", place, "--database", trial_url, "--hot-days", "3", "--cold-days", "4"]
    day = str(OLD.date())
    assert await told(*words) == [
        {"service": "trial", "what": "outbox", "day": day, "refusal": ""},
        {"service": "trial", "what": "archive", "day": day, "refusal": "the outbox still has it"},
    ]
    late = await outbox.say(OLD)
    assert "has 601 events" in (await told(*words))[0]["refusal"]
    await outbox.connection.execute("update trial.outbox set published_at = null where id = $1", late)
    assert "never published" in (await told(*words))[0]["refusal"]
    assert (await penstock(*words)).exit_code == 0
    assert len(await outbox.events()) == 602


async def listed(place: str, *words: str) -> tuple[list[str], int]:
    """Ids of rows that `events ls` shows of the archive, and its exit code."""
    line = ["events", "ls", "--from-archive", "--archive", place, "--json", *words]
    result = await asyncio.to_thread(CliRunner().invoke, app, line)
    return [json.loads(line)["id"] for line in result.stdout.splitlines() if line.startswith("{")], result.exit_code


async def test_events_are_listed_from_the_archive(outbox: Outbox, place: str, local: LocalObjects) -> None:
    """The newest, or those behind a row, by the same options as of the outboxes; damage is named and fails."""
    ids = [str(event.id) for event in await outbox.events()]
    assert await listed(place, "--limit", "5") == (ids[-5:], 0)
    assert await listed(place, "--limit", "3", "--after", ids[1]) == (ids[2:5], 0)
    assert await listed(place, "--topic", "billing.>") == ([], 0)
    (segment,) = (await read_day(local, SERVICE, OLD.date())).segments
    await local.delete(data_key(SERVICE, OLD.date(), segment.data))
    assert await listed(place) == (ids[-1:], 1)
