"""Looks at the statements that run on the driver alone, as SQLAlchemy's events have those that it runs."""

from collections.abc import Callable
from typing import Any

import asyncpg

Look = Callable[[str], None]


def look_at(before: Look | None = None, after: Look | None = None) -> None:
    """Be called around each of this process's statements from now on."""
    fetch = asyncpg.Connection.fetch

    async def watched(connection: Any, statement: str, *given: Any) -> Any:
        if before:
            before(statement)
        found = await fetch(connection, statement, *given)
        if after:
            after(statement)
        return found

    asyncpg.Connection.fetch = watched
