"""Runs in PostgreSQL: who holds one, and what those who do not can't do."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from penstock_common.contracts.runs import CancelRun, RemoveTask, RunState, SaveTask, StartRun, Trigger
from penstock_common.db.transaction import Database
from penstock_common.errors import SubjectErased
from penstock_common.ids import uuid7
from penstock_common.sealing import LocalKeyring, Sealer
from penstock_common.topology import PLATFORM
from penstock_worker.adapters.intake import SqlIntake
from penstock_worker.adapters.runs import SqlRuns
from penstock_worker.adapters.seals import Seals
from penstock_worker.domain.errors import Superseded
from penstock_worker.ports import Claimed, End, Note, StateChange
from tests.support.working import KEY, TENANT

pytestmark = pytest.mark.integration

LEASE = 0.3


@dataclass
class Store:
    """Runs, and the ways into their tables."""

    database: Database
    runs: SqlRuns
    intake: SqlIntake
    seals: Seals

    async def start(self, depth: int = 0) -> UUID:
        """A run that waits to be taken up."""
        run_id = uuid7()
        sealed = self.seals.seal(TENANT, run_id, {"task": {"steps": []}, "input": 1})
        command = StartRun(run_id=run_id, tenant=TENANT, key_id=KEY, trigger=Trigger.API, sealed=sealed, depth=depth)
        async with self.database.transaction() as tx:
            await self.intake.start(tx, command)
        return run_id

    async def taken_over(self) -> tuple[Claimed, Claimed]:
        """The same run as its holder of old and its holder of now have it."""
        await self.start()
        [old] = await self.runs.claim("old", 10)
        await asyncio.sleep(LEASE * 1.5)
        [new] = await self.runs.claim("new", 10)
        assert (new.hold.epoch, new.deaths) == (old.hold.epoch + 1, 1)
        return old, new

    async def cancel(self, run_id: UUID) -> None:
        """As the handler does it."""
        async with self.database.transaction() as tx:
            await self.intake.cancel(tx, CancelRun(run_id=run_id, tenant=TENANT, reason="enough"))

    async def fetch(self, statement: str, **given: Any) -> list[Any]:
        """Rows as tuples."""
        async with self.database.reading() as connection:
            return [tuple(row) for row in await connection.execute(text(statement), given)]


@pytest.fixture
async def store(worker_url: str, tmp_path: Path) -> AsyncIterator[Store]:
    """One with short leases."""
    seals = Seals(Sealer(LocalKeyring(tmp_path / "keyring")))
    database = Database(worker_url, "worker", PLATFORM)
    yield Store(database, SqlRuns(database, seals, LEASE), SqlIntake(seals), seals)
    await database.close()


async def test_a_run_is_claimed_by_one(store: Store) -> None:
    """However many want it; the oldest first."""
    runs = [await store.start() for _ in range(20)]
    [first] = await store.runs.claim("w", 1)
    claimed = await asyncio.gather(*(store.runs.claim(f"w{n}", 7) for n in range(4)))
    assert first.hold.run_id == runs[0]
    assert sorted(held.hold.run_id for some in claimed for held in some) == runs[1:]


async def test_a_holder_of_old_writes_nothing(store: Store) -> None:
    """Not a line, not what is remembered, not the end; nor can it let go of what it does not hold."""
    old, new = await store.taken_over()
    change = StateChange("k", lambda before: {"n": before.get("n", 0) + 1})
    for refused in (
        store.runs.append(old, Note(kind="step.finished", step="a")),
        store.runs.remember(old, "a", change),
        store.runs.end(old, End(state=RunState.SUCCEEDED)),
    ):
        with pytest.raises(Superseded):
            await refused
    await store.runs.release(old, 0)
    assert await store.runs.beat([old.hold]) == {}
    assert await store.runs.beat([new.hold]) == {new.hold.run_id: ""}
    assert await store.runs.entries(new.hold.run_id) == []
    entry = await store.runs.remember(new, "a", change)
    assert entry.detail["output"] == {"before": {}, "after": {"n": 1}}
    assert await store.runs.claim("other", 10) == []


async def test_a_beat_keeps_a_run(store: Store) -> None:
    """And a line of the journal does as well; silence loses it."""
    await store.start()
    [held] = await store.runs.claim("w", 1)
    for _ in range(4):
        await asyncio.sleep(LEASE / 3)
        await store.runs.beat([held.hold])
        assert await store.runs.claim("other", 1) == []
    await asyncio.sleep(LEASE * 1.5)
    assert len(await store.runs.claim("other", 1)) == 1


async def test_deaths_are_counted_until_a_step_ends(store: Store) -> None:
    """A run that is let go of in good order counts none."""
    _, held = await store.taken_over()
    await store.runs.append(held, Note(kind="step.finished", step="a"))
    await store.runs.release(held, 0)
    [again] = await store.runs.claim("third", 1)
    assert again.deaths == 0


async def test_a_run_that_waits_is_cancelled_at_once(store: Store) -> None:
    """One that is held is marked, and its holder hears of it by its beat."""
    waiting = await store.start()
    await store.cancel(waiting)
    assert await store.fetch("select state, version from worker.runs") == [("cancelled", 1)]
    assert [entry.kind for entry in await store.runs.entries(waiting)] == ["run.finished"]
    running = await store.start()
    [held] = await store.runs.claim("w", 10)
    await store.cancel(running)
    await store.cancel(running)
    assert await store.runs.beat([held.hold]) == {running: "enough"}


async def test_a_run_too_deep_is_refused(store: Store) -> None:
    """It is there, as failed, with the reason."""
    await store.start(depth=5)
    assert await store.fetch("select state, error_code from worker.runs") == [("failed", "worker.runs_too_deep")]
    assert await store.runs.claim("w", 10) == []


async def test_a_journal_without_its_key_ends_all_the_same(store: Store) -> None:
    """What it says is erased; that the run ended is not."""
    await store.start()
    [held] = await store.runs.claim("w", 1)
    store.seals.sealer.keyring.erase(TENANT)
    store.seals.sealer.forget(TENANT)
    with pytest.raises(SubjectErased):
        await store.runs.content(held)
    await store.runs.end(held, End(state=RunState.FAILED, error_code="common.subject_erased", error="x"))
    assert await store.fetch("select state from worker.runs") == [("failed",)]


async def test_the_latest_word_on_a_task_counts(store: Store) -> None:
    """Whatever arrives twice or late: a save before a removal does not bring the task back."""
    moments = [datetime.now(UTC) + timedelta(seconds=n) for n in range(4)]
    saves = [
        SaveTask(task_id=uuid7(), tenant=TENANT, name="t", sealed=bytes([n]), saved_at=at)
        for n, at in enumerate(moments)
    ]
    removal = RemoveTask(tenant=TENANT, name="t", removed_at=moments[2] + timedelta(milliseconds=1))
    known = "select get_byte(sealed, 0), version from worker.tasks"
    async with store.database.transaction() as tx:
        for save in (saves[1], saves[0], saves[1], saves[2]):
            await store.intake.save(tx, save)
    assert await store.fetch(known) == [(2, 2)]
    async with store.database.transaction() as tx:
        await store.intake.remove(tx, removal)
        await store.intake.save(tx, saves[2])
    assert await store.fetch(known) == [(None, 2)]
    async with store.database.transaction() as tx:
        await store.intake.save(tx, saves[3])
        await store.intake.remove(tx, removal)
    assert await store.fetch(known) == [(3, 3)]
