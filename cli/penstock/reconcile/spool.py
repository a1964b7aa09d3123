"""The engine's attempts on disk, so that a million of them need no memory."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

from penstock.reconcile.engine import Attempt, attempts_in

CHUNK = 5000

TABLE = """
create table attempts (request_id text, attempt integer, prompt integer, low integer, high integer, closed integer);
create index attempts_by_request on attempts (request_id);
"""
ADD = "insert into attempts values (?, ?, ?, ?, ?, ?)"
TAKE = "delete from attempts where request_id in ({marks}) returning *"
Calls = dict[int, list[Attempt]]
"""The calls of one request, by attempt."""


class Spool:
    """Calls by request; what was taken is gone, so that at the end only unclaimed ones are left."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.total = 0
        connection.executescript(f"pragma journal_mode = off; pragma synchronous = off; {TABLE}")

    def add(self, attempts: Iterable[Attempt]) -> None:
        """Keep attempts."""
        self.total += self._connection.executemany(ADD, map(astuple, attempts)).rowcount

    def take(self, request_ids: Sequence[str]) -> dict[str, Calls]:
        """What the engine did for these requests."""
        marks = ",".join("?" * len(request_ids))
        found: dict[str, Calls] = {}
        for row in self._connection.execute(TAKE.format(marks=marks), request_ids).fetchall():
            attempt = _attempt(row)
            found.setdefault(attempt.request_id, {}).setdefault(attempt.attempt, []).append(attempt)
        return found

    def unclaimed(self) -> Iterator[list[Attempt]]:
        """What is left, in chunks."""
        rows = self._connection.execute("select * from attempts")
        while chunk := [_attempt(row) for row in islice(rows, CHUNK)]:
            yield chunk


def _attempt(row: tuple[str, int, int, int, int, int]) -> Attempt:
    request_id, attempt, prompt, low, high, closed = row
    return Attempt(request_id, attempt, prompt, low, high, closed=bool(closed))


@contextmanager
def spooled(folder: Path) -> Iterator[Spool]:
    """All attempts of the engine's files in a folder. Raises Damaged."""
    with TemporaryDirectory(prefix="penstock-reconcile-") as scratch:
        connection = sqlite3.connect(Path(scratch) / "attempts", isolation_level=None)
        try:
            spool = Spool(connection)
            connection.execute("begin")
            for path in sorted(folder.glob("*.jsonl")):
                spool.add(attempts_in(path))
            connection.execute("commit")
            yield spool
        finally:
            connection.close()
