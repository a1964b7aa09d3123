"""Death by SIGKILL at a chosen point of a transaction."""

import os
import signal
from typing import Any

from sqlalchemy import event

from penstock_common.db.transaction import Database

COMMITTED = "committed"


def die(*_: Any) -> None:
    """As kill -9 does it."""
    os.kill(os.getpid(), signal.SIGKILL)


def die_at(database: Database, point: str) -> None:
    """Die once so many statements on the database's schema were executed, or right after a commit."""
    if point == COMMITTED:
        database.offer = die
        return
    left = [int(point)]

    def executed(_: Any, __: Any, statement: str, *___: Any) -> None:
        if f"{database.schema}." in statement:
            left[0] -= 1
            if not left[0]:
                die()

    event.listen(database.engine.sync_engine, "after_cursor_execute", executed)
