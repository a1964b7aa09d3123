"""An inference process that dies of SIGKILL at one statement."""

import os
import signal
from pathlib import Path

from sqlalchemy import event

from penstock_common.contracts.generation import GenerateText
from penstock_inference.adapters.statements import FINISH_ONE
from tests.integration.inference.records.ends import an_end
from tests.integration.inference.records.store import Store
from tests.support.driver import look_at
from tests.support.generation_fakes import a_sealer

STATEMENTS = {
    "claim": "insert into inference.generations as r\n  (request_id, attempt",
    "lost": "insert into inference.outbox (day, id, subject",
    "finish": FINISH_ONE,
}
FIRST = ("finish before", "finish after")
POINTS = (*(f"{name} {when}" for name in STATEMENTS for when in ("before", "after")), "committed after")
"""In a take-over: at each statement, and between the claim's commit and the engine call."""


def dying_at(store: Store, point: str) -> None:
    """Die before or after one statement; what it did is then committed or not, as PostgreSQL sees fit."""
    name, when = point.split()
    engine = store.database.engine.sync_engine
    if name == "committed":
        return

    def look(statement: str) -> None:
        if STATEMENTS[name] in statement:
            die()

    if name == "finish":
        look_at(**{when: look})
        return
    told = "before_cursor_execute" if when == "before" else "after_cursor_execute"
    event.listen(engine, told, lambda *given: look(given[2]))


def die() -> None:
    """Without a word."""
    os.kill(os.getpid(), signal.SIGKILL)


async def main(url: str, keys: Path, point: str, command: GenerateText) -> None:
    """A first execution records its end; a take-over claims first."""
    async with Store(url, a_sealer(keys)) as store:
        dying_at(store, point)
        attempt: int | None = 1
        if command.republished:
            attempt = await store.records.claim(command, "dying")
            if point.startswith("committed"):
                die()
        assert attempt
        await store.records.finish(an_end(command, attempt))
