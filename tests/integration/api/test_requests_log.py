"""The history of requests: one row a request, and for most of them one write."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, text

from penstock_api.adapters import requests_log
from penstock_api.adapters.requests_log import RequestsLog
from penstock_common.contracts.generation import GenerateText, GenerationCompleted
from penstock_common.db.transaction import Database
from penstock_common.errors import DatabaseUnavailable
from penstock_common.topology import PLATFORM
from tests.support.billing import a_completion
from tests.support.databases import Databases
from tests.support.generation_fakes import a_command, a_sealer

pytestmark = pytest.mark.integration

WRITE = "insert into api.requests"
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
