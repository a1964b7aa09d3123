"""What the platform recorded, and what the engine counted, read from where they keep it."""

from collections import defaultdict

import aiohttp
import asyncpg
import msgspec

from penstock.reconcile.report import Difference
from penstock.reconcile.run import Records, reconcile
from tests.chaos.checker import Counted, Violation
from tests.chaos.engine import Call
from tests.chaos.history import Booked, Books, Entry, Row

ROWS = """
select request_id, attempt, outcome, measure, prompt_tokens, completion_tokens, error_code from inference.generations
"""
ENTRIES = """
select request_id, book, attempt, coalesce(outcome, ''), prompt_tokens, completion_tokens from billing.entries
"""


async def read_books(audit: str) -> Books:
    """What the database says of every request; `audit` is the URL of a role that reads all schemas."""
    connection = await asyncpg.connect(audit)
    try:
        rows = {str(row[0]): Row(*row[1:]) for row in map(tuple, await connection.fetch(ROWS))}
        entries = defaultdict[str, list[Entry]](list)
        for entry in map(tuple, await connection.fetch(ENTRIES)):
            entries[str(entry[0])].append(Entry(*entry[1:]))
    finally:
        await connection.close()
    return {key: Booked(rows.get(key), entries.get(key, [])) for key in rows.keys() | entries.keys()}


async def read_counts(engine: str) -> list[Call]:
    """Every call that was made of the engine."""
    async with aiohttp.ClientSession() as session, session.get(f"{engine}/counts") as answer:
        return msgspec.json.decode(await answer.read(), type=list[Call])


def counted(calls: list[Call]) -> dict[str, Counted]:
    """The engine's counts by order."""
    by_key = defaultdict[str, list[Call]](list)
    for call in calls:
        by_key[call.key].append(call)
    return {
        key: Counted([call.tokens for call in made if call.complete], max(call.tokens for call in made))
        for key, made in by_key.items()
    }


async def compared(audit: str, settle: float) -> list[Violation]:
    """What `penstock reconcile` says, after at most so many seconds of waiting for what is under way."""
    report = await reconcile(Records(audit, None), settle)
    return [_violation(difference) for difference in report.differences]


def _violation(difference: Difference) -> Violation:
    return Violation(f"reconcile: {difference.kind}", difference.request_id, difference.detail)
