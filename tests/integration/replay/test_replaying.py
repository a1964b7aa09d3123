"""What an operator says again: counted exactly, marked, to whom it is meant, taking effect once."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from penstock.events.choosing import ChoiceInvalid
from penstock.events.source import reading
from penstock.replay.kept import ActTaken
from penstock.replay.publishing import ReplayHalted
from penstock.replay.run import carry_out, count
from penstock_common.archive.writing import Draft
from penstock_common.events.outbox import outbox_events
from penstock_common.events.selection import Selection
from penstock_common.messaging.connect import apply_topology
from penstock_common.messaging.envelope import EFFECTS, REPLAY
from penstock_common.objects import LocalObjects
from tests.integration.replay.stage import PART, TO_API, TO_BILLING, Stage, completions, staged
from tests.support.billing import a_completion
from tests.support.databases import Databases, execute
from tests.support.records import penstock

pytestmark = pytest.mark.integration


@pytest.fixture
async def on_nats(platform_databases: Databases, nats_url: str, tmp_path: Path) -> AsyncIterator[Stage]:
    """A platform where the bus makes no difference."""
    await apply_topology(nats_url, PART)
    async with staged(platform_databases, nats_url, tmp_path) as made:
        yield made


async def test_a_dry_run_counts_what_the_run_then_does(stage: Stage) -> None:
    """By topic and consumer, with what each inbox knows; what was not published yet is its service's to publish."""
    events = completions(12)
    ids = await stage.said(*events)
    waiting = await stage.said(a_completion(), published=False)
    await stage.billing.receive(*events[:5])
    file, kept = stage.act([*ids, *waiting])
    counted = await count(kept.plan, stage.places)
    assert counted.as_json() == {
        "events": 12,
        "topics": {TO_BILLING.topic.subject: 12},
        "consumers": {
            TO_API.name: {"events": 12, "would_skip": 0},
            TO_BILLING.name: {"events": 12, "would_skip": 5},
        },
        "unpublished": 1,
        "unknown": {},
        "damaged": [],
    }
    assert not file.path.exists()
    async with stage.at_work():
        done = await carry_out(kept, file, stage.places, rate=1000)
        await stage.until_charged(events)
        again = await carry_out(file.load(), file, stage.places, rate=1000)
    assert (done.published, done.topics) == (12, counted.topics)
    assert again.published == 12
    assert await stage.charged(events) == [1] * 12
    assert stage.heard == {(str(kept.plan.act), id_): 1 for id_ in ids}
    known = await count(stage.act(ids, to=TO_BILLING.name)[1].plan, stage.places)
    assert known.as_json()["consumers"] == {TO_BILLING.name: {"events": 12, "would_skip": 12}}


async def test_one_consumer_hears_it_alone_and_what_follows_is_marked(stage: Stage) -> None:
    """The usage that billing records of a replayed end says so, and whether it may reach outside."""
    async with stage.at_work():
        for effects in (False, True):
            events = completions(2)
            file, kept = stage.act(await stage.said(*events), to=TO_BILLING.name, effects=effects)
            await carry_out(kept, file, stage.places, rate=1000)
            await stage.until_charged(events)
            marks = await stage.billing.fetch(
                "select headers ->> :replay, headers ->> :effects from billing.outbox where message_id = any(:ids)",
                replay=REPLAY,
                effects=EFFECTS,
                ids=[f"{event.request_id}.usage" for event in events],
            )
            assert marks == [(str(kept.plan.act), "allow" if effects else None)] * 2
    assert stage.heard == {}


async def test_it_is_no_faster_than_told_and_one_process_does_it(on_nats: Stage) -> None:
    """20 messages at 20 a second, of which the first burst may leave at once; a second process is refused."""
    ids = await on_nats.said(*completions(20))
    file, kept = on_nats.act(ids, to=TO_API.name)
    began = asyncio.get_running_loop().time()
    running = asyncio.create_task(carry_out(kept, file, on_nats.places, rate=20))
    await asyncio.sleep(0.3)
    with pytest.raises(ActTaken):
        await carry_out(file.load(), file, on_nats.places, rate=1000)
    await running
    assert asyncio.get_running_loop().time() - began >= 0.7


async def test_where_the_bus_takes_nothing_it_says_how_to_go_on(
    on_nats: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing counts as published that was not confirmed."""
    monkeypatch.setattr("penstock.replay.publishing.PATIENCE", 0.0)
    ids = await on_nats.said(*completions(2))
    await execute(on_nats.databases.admin, "update inference.outbox set stream = 'ELSEWHERE'")
    file, kept = on_nats.act(ids)
    with pytest.raises(ReplayHalted, match=f"--resume {kept.plan.act}"):
        await carry_out(kept, file, on_nats.places, rate=1000)
    await execute(on_nats.databases.admin, "update inference.outbox set stream = 'INFERENCE'")
    assert (file.load().published, file.load().done) == (0, False)
    assert (await carry_out(file.load(), file, on_nats.places, rate=1000)).published == 2


async def test_the_archive_is_read_when_outboxes_have_forgotten(on_nats: Stage, tmp_path: Path) -> None:
    """All of it; and of a damaged one what can be read, with a word about the rest."""
    events = completions(3)
    ids = await on_nats.said(*events)
    archive = tmp_path / "archive"
    await archived(on_nats, archive)
    await execute(on_nats.databases.admin, "delete from inference.outbox")
    assert (await count(on_nats.act(ids)[1].plan, on_nats.places)).events == 0
    file, kept = on_nats.act(ids, archive=str(archive))
    async with on_nats.at_work():
        done = await carry_out(kept, file, on_nats.places, rate=1000)
        await on_nats.until_charged(events)
    assert (done.published, done.damaged) == (3, [])
    [contents] = archive.rglob("*.jsonl.gz")
    contents.write_bytes(contents.read_bytes()[:-40] + bytes(40))
    file, kept = on_nats.act(ids, archive=str(archive))
    counted = await count(kept.plan, on_nats.places)
    done = await carry_out(kept, file, on_nats.places, rate=1000)
    assert (counted.events, done.published) == (0, 0)
    assert len(counted.damaged) == 1
    assert contents.name in counted.damaged[0]
    assert done.damaged == counted.damaged


async def archived(stage: Stage, folder: Path) -> None:
    """Inference's outbox as a segment."""
    async with reading(stage.databases.audit) as connection:
        found = [event async for event in outbox_events(connection, ["inference"], Selection())]
    draft = Draft("inference", found[0].day, 1)
    for event in found:
        await draft.add(event)
    await draft.write(LocalObjects(folder))


async def test_everything_is_not_said_again_by_accident(on_nats: Stage) -> None:
    """Nor what asks for work to be done, nor to somebody who is not there."""
    with pytest.raises(ChoiceInvalid, match="Say which events"):
        on_nats.act([])
    with pytest.raises(ChoiceInvalid, match="--commands"):
        on_nats.act(["x"], to="worker-start-run")
    with pytest.raises(ChoiceInvalid, match="Did you mean billing-on-generation-completed"):
        on_nats.act(["x"], to="billing-on-generation-complete")


async def test_the_command_counts_does_and_goes_on(on_nats: Stage, tmp_path: Path) -> None:
    """With one line of JSON, the act's id on standard error, and exit codes."""
    ids = await on_nats.said(*completions(2))
    where = ("--database", on_nats.databases.audit, "--bus", on_nats.bus_url, "--data", str(tmp_path), "--json")
    status, told = await penstock("events", "replay", "--id", ids[0], "--id", ids[1], "--dry-run", *where)
    assert (status, told["dry_run"], told["events"]) == (0, True, 2)
    status, told = await penstock("events", "replay", "--id", ids[0], "--to", TO_API.name, *where)
    assert (status, told["published"], told["to"]) == (0, 1, TO_API.name)
    status, again = await penstock("events", "replay", "--resume", told["act"], *where)
    assert (status, again) == (0, told)
    status, said = await penstock("events", "replay", "--resume", told["act"], "--id", "x", *where)
    assert status == 2
    assert "give it alone" in said["stderr"]
    acts = await words(on_nats)
    assert [(word["act"], word["phase"]) for word in acts] == [
        ("events.replay", phase) for phase in ("begun", "done") * 2
    ]
    assert {word["act_id"] for word in acts} == {told["act"]}
    assert acts[1]["details"]["published"] == "1"


async def words(stage: Stage) -> list[dict[str, Any]]:
    """What the audit log was told."""
    lane = PART.consumer("api", "on_operator_acted")
    told: list[dict[str, Any]] = []

    async def hear(message: Any) -> None:
        told.append(json.loads(message.body))
        await stage.bus.settler.ack(message)

    listening = await stage.bus.pull(lane, hear)
    async with asyncio.timeout(10):
        while len(told) < 4:
            await asyncio.sleep(0.05)
    await listening.stop()
    return told
