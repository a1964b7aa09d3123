"""A worker beside a whole inference service."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from tests.support.databases import Databases
from tests.support.inference import inference_process
from tests.support.working import Commander, commander, worker_process


@dataclass
class House:
    """Who commands, and where things are."""

    boss: Commander
    databases: Databases
    bus_url: str
    keyring: Path

    async def generations(self) -> list[str]:
        """How each request that reached inference ended, one that was asked twice once."""
        connection = await asyncpg.connect(self.databases.services["inference"])
        try:
            return [row[0] for row in await connection.fetch("select outcome from inference.generations")]
        finally:
            await connection.close()


@asynccontextmanager
async def house(databases: Databases, bus_url: str, folder: Path, workers: int = 1) -> AsyncIterator[House]:
    """Inference and some workers on one bus."""
    keyring = folder / "keyring"
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(inference_process(databases, bus_url, folder))
        for _ in range(workers):
            await stack.enter_async_context(worker_process(databases.services["worker"], bus_url, keyring))
        boss = await stack.enter_async_context(commander(bus_url, keyring))
        yield House(boss, databases, bus_url, keyring)
