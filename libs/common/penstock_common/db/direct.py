"""Statements that run for every request, on the driver alone: what SQLAlchemy adds costs more than they do."""

import asyncio
from typing import Any

import asyncpg
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from penstock_common.db.engine import driver_of, translated

# These statements take any number of rows in one plan, so that planning once is enough.
PLAN_ONCE = "set plan_cache_mode = force_generic_plan"


class Direct:
    """One connection of a service's pool, kept; its statements run one after another, and each commits by itself."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine, self._turn = engine, asyncio.Lock()
        self._kept: AsyncConnection | None = None
        self._driver: asyncpg.Connection | None = None

    async def fetch(self, statement: str, *given: Any) -> list[asyncpg.Record]:
        """Run a statement with numbered parameters. Raises DatabaseUnavailable, else what the driver raises."""
        async with self._turn, translated():
            driver = self._driver or await self._open()
            try:
                return list(await driver.fetch(statement, *given))
            except BaseException as error:
                if driver.is_closed() or not isinstance(error, asyncpg.PostgresError):
                    await self._drop(driver)
                raise

    async def close(self) -> None:
        """Give the connection back; the next statement takes another."""
        kept, self._kept, self._driver = self._kept, None, None
        if kept:
            await kept.close()

    async def _open(self) -> asyncpg.Connection:
        self._kept = await self._engine.connect()
        driver = await driver_of(self._kept)
        try:
            await driver.execute(PLAN_ONCE)
        except BaseException:
            await self._drop(driver)
            raise
        self._driver = driver
        return driver

    async def _drop(self, driver: asyncpg.Connection) -> None:
        """Nobody knows what state it is in."""
        driver.terminate()
        if self._kept:
            await self._kept.invalidate()
        await self.close()
