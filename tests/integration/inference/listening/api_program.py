"""A real api process of its own, to be killed."""

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from penstock_api.domain.keys import digest_of
from tests.support.api import USER, bearer
from tests.support.databases import Databases

ROOT = Path(__file__).resolve().parents[4]
READY_SECONDS = 90.0


class ApiProgram:
    """`python -m penstock_api` on a free port."""

    def __init__(self, process: asyncio.subprocess.Process, url: str) -> None:
        self.process = process
        self.client = httpx.AsyncClient(base_url=url, headers=bearer(USER), timeout=30, trust_env=False)

    async def serves(self, model: str) -> None:
        """Wait until it knows a model."""
        async with asyncio.timeout(READY_SECONDS):
            while not await self._knows(model):
                assert self.process.returncode is None
                await asyncio.sleep(0.1)

    async def _knows(self, model: str) -> bool:
        try:
            models = await self.client.get("/v1/models")
        except httpx.TransportError:
            return False
        return models.is_success and any(row["id"] == model for row in models.json()["data"])

    async def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        await self.process.wait()


@asynccontextmanager
async def api_program(databases: Databases, bus_url: str, folder: Path) -> AsyncIterator[ApiProgram]:
    """Start one; whatever is left of it is killed."""
    settings = {
        "BUS__URL": bus_url,
        "DATABASE__URL": databases.services["api"],
        "HTTP__PORT": "0",
        "KEYRING__PATH": str(folder / "keyring"),
        "OBJECTS__PATH": str(folder / "objects"),
        "BOOTSTRAP__USER_KEY_SHA256": digest_of(USER).hex(),
    }
    with socket.create_server(("127.0.0.1", 0)) as listening:
        named = {f"PENSTOCK_API_{name}": value for name, value in settings.items()}
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "penstock_api"),
            env={**os.environ, **named, "PENSTOCK_API_HTTP__FD": str(listening.fileno())},
            pass_fds=[listening.fileno()],
            stdout=asyncio.subprocess.DEVNULL,
            cwd=ROOT,
        )
        api = ApiProgram(process, f"http://127.0.0.1:{listening.getsockname()[1]}")
    try:
        yield api
    finally:
        await api.client.aclose()
        if process.returncode is None:
            await api.kill()
