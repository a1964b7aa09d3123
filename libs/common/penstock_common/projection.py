"""A table that one service makes of another's events, so that it can be made anew beside the live one."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from penstock_common.contracts.base import Contract

Apply = Callable[[AsyncConnection, str, Sequence[Any]], Awaitable[None]]
"""Writes events of one contract, in any order and however often, into the table of a schema; as the handler does."""


@dataclass(frozen=True)
class Projection:
    """One table, and how events make it."""

    service: str
    table: str
    key: tuple[str, ...]
    stable: tuple[str, ...]
    """The columns that events alone decide; what else the table has is not compared."""
    contract: type[Contract]
    apply: Apply
    seed: str = ""
    """The statement that makes the rows which are there before any event; `{schema}` in it."""
    surplus: str = "false"
    """Which live rows only an event since `:since` can have made: a condition on the alias `live`."""

    @property
    def name(self) -> str:
        """What operators call it."""
        return f"{self.service}.{self.table}"
