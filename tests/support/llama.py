"""llama.cpp's own server with the tiny model: a real engine for tests."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

import httpx

from penstock.platform.ports import LOOPBACK
from penstock.platform.program import Program, plain_environment
from tests.support.gguf import write_model

KEY = "sk-llama"
HEADERS = {"authorization": f"Bearer {KEY}"}
SLOTS = 4
SLOT_TOKENS = 16384
"""Context of one slot; to fill it takes the tiny model more than a minute."""


@dataclass(frozen=True, slots=True)
class LlamaServer:
    """One server whose model lies in `home`."""

    home: Path
    executable: Path
    port: int
    name: str = "llama"

    @property
    def url(self) -> str:
        """The base URL of its OpenAI API."""
        return f"http://{LOOPBACK}:{self.port}/v1"

    def prepare(self) -> None:
        """Write the model."""
        self.home.mkdir(exist_ok=True)
        write_model(self.home / "tiny.gguf")

    def program(self) -> Program:
        """The server's command line."""
        options = {
            "--model": self.home / "tiny.gguf",
            "--alias": "tiny",
            "--host": LOOPBACK,
            "--port": self.port,
            "--api-key": KEY,
            "--parallel": SLOTS,
            "--ctx-size": SLOTS * SLOT_TOKENS,
            "--threads": 1,
            "--threads-http": 16 * SLOTS,  # calls that wait for a slot must not keep /slots waiting
            "--pooling": "mean",
        }
        given = [str(word) for option in options.items() for word in option]
        return Program(
            name=self.name,
            argv=(str(self.executable), *given, "--embeddings", "--slots", "--offline"),
            env=plain_environment(),
            cwd=self.home,
        )

    async def is_ready(self, _pid: int) -> bool:
        """Whether the model is loaded."""
        try:
            async with httpx.AsyncClient(trust_env=False) as client:
                return (await client.get(f"{self.url.removesuffix('/v1')}/health")).status_code == 200
        except httpx.HTTPError:
            return False


async def busy_slots(url: str) -> int:
    """How many calls the server works on now."""
    async with _client() as client:
        return await _busy_slots(client, url)


async def until_busy(url: str, slots: int, within: float) -> None:
    """Wait until the server works on so many calls; raises TimeoutError."""
    async with _client() as client, asyncio.timeout(within):
        while await _busy_slots(client, url) != slots:
            await asyncio.sleep(0.01)


def _client() -> httpx.AsyncClient:
    """Without certificates: to load them takes longer than a whole look at the slots."""
    return httpx.AsyncClient(trust_env=False, verify=False)


async def _busy_slots(client: httpx.AsyncClient, url: str) -> int:
    answer = await client.get(f"{url.removesuffix('/v1')}/slots", headers=HEADERS)
    return sum(slot["is_processing"] for slot in answer.raise_for_status().json())
