"""A worker in a process of its own, that may die of SIGKILL at one of the points where its runs become durable.

Points are counted: each commit of a run's journal twice, just before it and just after, and each claim once.
"""

import asyncio
import os
import signal
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from sqlalchemy import event

from penstock_common.service import begin
from penstock_worker.app import App
from penstock_worker.ports import Claimed
from tests.support.forks import FORKS
from tests.support.working import make_worker

SHORT, LONG = 0.5, 2.0
"""Leases in seconds: nobody else is there to take a run, or others are, on a machine that may be busy."""
TABLES = ("worker.runs", "worker.entries", "worker.memories")
WRITES = ("insert", "update", "with held")


class Points:
    """Dies at the point of a number, never for 0."""

    def __init__(self, left: int) -> None:
        self.left = left
        self._writing: set[int] = set()

    def watch(self, app: App) -> None:
        """Count what this process does."""
        engine, claim = app.foundation.database.engine.sync_engine, app.store.claim

        async def claiming(owner: str, limit: int) -> list[Claimed]:
            if held := await claim(owner, limit):
                self.passed()
            return held

        app.store.claim = claiming  # type: ignore[method-assign]
        event.listen(engine, "after_cursor_execute", self.executed)
        event.listen(engine, "commit", self.committing)

    def passed(self) -> None:
        """A point is reached."""
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def executed(self, connection: Any, _: Any, statement: str, *__: Any) -> None:
        """Note that there is something to commit."""
        if statement.lstrip().lower().startswith(WRITES) and any(table in statement for table in TABLES):
            self._writing.add(id(connection))

    def committing(self, connection: Any) -> None:
        """Before and after a commit that makes something durable."""
        if id(connection) in self._writing:
            self._writing.discard(id(connection))
            self.passed()
            connection.connection.dbapi_connection.commit()
            self.passed()


def start_worker(database: str, bus: str, keyring: Path, point: int = 0, lease: float = SHORT) -> BaseProcess:
    """Begin to work in a new process, made from one that has imported everything."""
    process = FORKS.Process(target=_work, args=(database, bus, str(keyring), point, lease), daemon=True)
    process.start()
    return process


def _work(database: str, bus: str, keyring: str, point: int, lease: float) -> None:
    app = make_worker(database, bus, Path(keyring), lease)
    if point:
        Points(point).watch(app)
    asyncio.run(_live(app))


async def _live(app: App) -> None:
    await begin(app)
    await asyncio.Event().wait()
