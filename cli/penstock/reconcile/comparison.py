"""One comparison of all records, in one snapshot of the database."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg

from penstock.reconcile.engine import Damaged, Ended, compare
from penstock.reconcile.report import Difference, Report
from penstock.reconcile.spool import CHUNK, Spool, spooled
from penstock.reconcile.statements import CHECKS, ENDED, IN_FLIGHT, KNOWN, LIMIT, TOTALS

# Comparing a million rows takes longer than a service's statement may.
SESSION = {
    "application_name": "penstock-reconcile",
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "default_transaction_read_only": "on",
}


async def compare_records(database: str, engine_files: Path | None) -> Report:
    """Compare once. Raises asyncpg's errors and OSError where a record can't be read."""
    report = Report()
    async with snapshot(database) as connection:
        totals = await connection.fetchrow(TOTALS)
        report.requests, report.charged_nano = totals["requests"], int(totals["charged_nano"])
        report.in_flight = [str(row[0]) for row in await connection.fetch(IN_FLIGHT)]
        for kind, statement in CHECKS.items():
            rows = await connection.fetch(f"{statement} limit {LIMIT}")
            report.differences += [Difference(str(row[0] or ""), kind, row[1], row[2]) for row in rows]
        if engine_files:
            await compare_engine(connection, engine_files, report)
    return report


@asynccontextmanager
async def snapshot(database: str) -> AsyncIterator[Any]:
    """A read-only transaction in which all statements see the same moment."""
    connection = await asyncpg.connect(database, timeout=10, server_settings=SESSION)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            yield connection
    finally:
        await connection.close()


async def compare_engine(connection: Any, folder: Path, report: Report) -> None:
    """The engine's files are read after the snapshot began: they know all that it shows."""
    try:
        with spooled(folder) as spool:
            report.engine_attempts = spool.total
            async for chunk in ended_requests(connection):
                known = spool.take([ended.request_id for ended in chunk])
                for ended in chunk:
                    report.differences += compare(ended, known.get(ended.request_id, {}))
            await compare_unclaimed(connection, spool, report)
    except Damaged as error:
        report.differences.append(Difference("", "engine_damaged", str(error)))


async def ended_requests(connection: Any) -> AsyncIterator[list[Ended]]:
    """What inference ended, in chunks."""
    chunk: list[Ended] = []
    async for row in connection.cursor(ENDED, prefetch=CHUNK):
        chunk.append(Ended(str(row[0]), *list(row)[1:]))
        if len(chunk) == CHUNK:
            yield chunk
            chunk = []
    yield chunk


async def compare_unclaimed(connection: Any, spool: Spool, report: Report) -> None:
    """What the engine produced for requests that have not ended."""
    for chunk in spool.unclaimed():
        requests = {attempt.request_id for attempt in chunk}
        known = {str(row[0]) for row in await connection.fetch(KNOWN, sorted(requests))}
        for request_id in sorted(requests - known):
            detail = "the engine produced tokens for it; neither api nor inference has it"
            report.differences.append(Difference(request_id, "engine_only", detail, settles=True))
