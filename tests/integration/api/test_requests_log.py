"""The history of requests: one row a request, and for most of them one write."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, text

from penstock_api.adapters import requests_log
from penstock_api.adapters.requests_log import RequestsLog
from penstock_api.subscribers import Deps, on_generation_completed
from penstock_common.contracts.generation import GenerateText, GenerationCompleted
from penstock_common.db.transaction import Database
from penstock_common.errors import DatabaseUnavailable
from penstock_common.messaging.delivery import Delivery
from penstock_common.messaging.envelope import opened
from penstock_common.messaging.ports import Incoming
from penstock_common.topology import PLATFORM
from tests.support.billing import a_completion
from tests.support.databases import Databases
from tests.support.deliveries import MemorySettler, delivered
from tests.support.generation_fakes import a_command, a_sealer

pytestmark = pytest.mark.integration

WRITE = "insert into api.requests"
LANE = PLATFORM.consumer("api", "on_generation_completed")
HEARD = "select message_id from api.inbox where consumer = :lane"
ROWS = "select request_id, status from api.requests order by accepted_at"


@pytest.fixture
async def database(platform_databases: Databases) -> AsyncIterator[Database]:
    """Api's own."""
    database = Database(platform_databases.services["api"], "api", PLATFORM)
    yield database
    await database.close()


@pytest.fixture
async def history(database: Database, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RequestsLog]:
    """A process's history, which writes when its test says so."""
    monkeypatch.setattr(requests_log, "PAUSE_SECONDS", 3600.0)
    history = RequestsLog(database)
    history.start()
    yield history
    await history.stop()


@pytest.fixture
def writes(database: Database) -> list[str]:
    """The statements that wrote history, as they come."""
    made: list[str] = []

    def look(_: Any, __: Any, statement: str, *___: Any) -> None:
        if WRITE in statement:
            made.append(statement)

    event.listen(database.engine.sync_engine, "before_cursor_execute", look)
    return made


@pytest.fixture
def command(tmp_path: Path) -> GenerateText:
    """A request that was accepted."""
    return a_command(a_sealer(tmp_path))


def ended(command: GenerateText) -> GenerationCompleted:
    """What inference says of its end."""
    return a_completion(request_id=command.request_id, tenant=command.tenant, key_id=command.key_id)


async def end(history: RequestsLog, command: GenerateText) -> None:
    """Hear of its end, as the handler does."""
    async with history.database.engine.begin() as connection:
        await history.record_ends(connection, [ended(command)])


async def rows(database: Database) -> list[tuple[object, str]]:
    """The history as it stands."""
    async with database.reading() as connection:
        return [tuple(row) for row in await connection.execute(text(ROWS))]


async def test_a_request_that_ends_soon_is_written_once(
    database: Database, history: RequestsLog, writes: list[str], command: GenerateText
) -> None:
    """Its end says all that its first row would."""
    history.accepted(command)
    await end(history, command)
    await history.stop()
    assert await rows(database) == [(command.request_id, "succeeded")]
    assert len(writes) == 1


async def test_a_request_that_runs_on_is_seen_meanwhile(
    database: Database, monkeypatch: pytest.MonkeyPatch, command: GenerateText
) -> None:
    """By itself, within two pauses; its end replaces what was seen."""
    monkeypatch.setattr(requests_log, "PAUSE_SECONDS", 0.1)
    history = RequestsLog(database)
    history.start()
    history.accepted(command)
    async with asyncio.timeout(10):
        while await rows(database) != [(command.request_id, "accepted")]:
            await asyncio.sleep(0.05)
    await end(history, command)
    await history.stop()
    assert await rows(database) == [(command.request_id, "succeeded")]


async def test_a_stop_writes_what_waits(database: Database, history: RequestsLog, command: GenerateText) -> None:
    """The newest of what was seen, whichever pause it came in."""
    history.accepted(command)
    await history._write_due()
    history.refused(command, datetime.now(UTC))
    await history.stop()
    assert await rows(database) == [(command.request_id, "refused")]


async def test_an_end_that_is_not_committed_loses_no_request(
    database: Database, history: RequestsLog, command: GenerateText
) -> None:
    """The end is delivered again, and makes the row."""
    history.accepted(command)
    async with database.engine.connect() as connection:
        await history.record_ends(connection, [ended(command)])
        await connection.rollback()
    await history.stop()
    await end(history, command)
    assert await rows(database) == [(command.request_id, "succeeded")]


async def test_what_the_database_did_not_take_is_kept(
    database: Database, history: RequestsLog, command: GenerateText
) -> None:
    """In its order, for the next pause."""
    history.accepted(command)
    await history._write_due()
    async with database.engine.begin() as connection:
        await connection.execute(text("lock table api.requests in access exclusive mode"))
        with pytest.raises(DatabaseUnavailable):
            await history._write_due()
    await history.stop()
    assert await rows(database) == [(command.request_id, "accepted")]


class Heard:
    """Api's handler of ends, fed by hand."""

    def __init__(self, database: Database, history: RequestsLog) -> None:
        self.settler, self.history = MemorySettler(), history
        self.deps = Deps(database, history, *(nobody_asks,) * 3)

    async def __call__(self, *messages: Incoming) -> None:
        """One batch."""

        async def batch(given: Sequence[Incoming]) -> None:
            await on_generation_completed([opened(m, GenerationCompleted) for m in given], self.deps)

        await Delivery(self.settler).run_batch(batch, messages, LANE)


async def nobody_asks(*_: object) -> None:
    """Nothing else is handled here."""
    raise AssertionError


def told(event: GenerationCompleted) -> Incoming:
    """The delivery of an end."""
    return delivered(event, f"{event.request_id}.completed")


async def test_ends_that_are_new_are_written_in_one_statement(
    database: Database, history: RequestsLog, writes: list[str]
) -> None:
    """With their inbox rows, and without a transaction of several."""
    hear, ends = Heard(database, history), [told(a_completion()) for _ in range(3)]
    await hear(*ends)
    assert [status for _, status in await rows(database)] == ["succeeded"] * 3
    assert await heard_by(database) == sorted(end.message_id for end in ends)
    assert hear.settler.acked == [end.message_id for end in ends]
    assert writes == []


async def test_an_end_heard_before_is_written_once_and_the_new_beside_it_too(
    database: Database, history: RequestsLog, writes: list[str]
) -> None:
    """The statement fails as a whole; what is new of it is written by the other way, and all of it is settled."""
    hear, known, new = Heard(database, history), told(a_completion()), told(a_completion())
    await hear(known)
    async with database.engine.begin() as connection:
        await connection.execute(text("update api.requests set status = 'lost'"))
    await hear(known, new)
    assert sorted(status for _, status in await rows(database)) == ["lost", "succeeded"]
    assert await heard_by(database) == sorted([known.message_id, new.message_id])
    assert hear.settler.acked == [known.message_id, known.message_id, new.message_id]
    assert len(writes) == 1


async def test_of_two_attempts_the_newest_end_stands(database: Database, history: RequestsLog) -> None:
    """In whatever order they come, in one batch and in two."""
    hear, older = Heard(database, history), a_completion()
    newer = a_completion(request_id=older.request_id, attempt=2, outcome="failed")
    await hear(delivered(newer, f"{newer.request_id}.2"), delivered(older, f"{older.request_id}.1"))
    assert await rows(database) == [(older.request_id, "failed")]
    await hear(delivered(older, f"{older.request_id}.3"))
    assert await rows(database) == [(older.request_id, "failed")]


async def test_one_id_with_two_contents_is_not_taken_for_a_repeat(database: Database, history: RequestsLog) -> None:
    """It is buried; its neighbours are written."""
    hear, first, other = Heard(database, history), a_completion(), told(a_completion())
    await hear(told(first))
    contradiction = told(a_completion(request_id=first.request_id, completion=3))
    await hear(contradiction, other)
    assert list(hear.settler.buried) == [contradiction.message_id]
    assert len(await rows(database)) == 2


async def heard_by(database: Database) -> list[str]:
    """The messages that the handler took, as its inbox says."""
    async with database.reading() as connection:
        return sorted(await connection.scalars(text(HEARD), {"lane": LANE.inbox_name}))
