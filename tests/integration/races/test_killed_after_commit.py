"""Killed between the committed row and the final chunk: the end is told from the row, and charged once."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.integration.races.track import PATIENCE, Track, client
from tests.support.chat import ApiProcess, api_process
from tests.support.databases import Databases
from tests.support.inference import inference_process

pytestmark = [pytest.mark.integration, pytest.mark.chaos]

ROOT = Path(__file__).resolve().parents[3]


@asynccontextmanager
async def dying(databases: Databases, bus_url: str, folder: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """An inference process that works until it has committed an end."""
    given = (databases.services["inference"], bus_url, str(folder))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.integration.races.dying", *given), cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout
    try:
        while b"ready" not in await asyncio.wait_for(process.stdout.readline(), PATIENCE):
            assert process.returncode is None
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def knows_models(api: ApiProcess) -> None:
    """Wait until it can be asked."""
    async with asyncio.timeout(PATIENCE):
        while not api.app.catalogue.version:
            await asyncio.sleep(0.05)


async def test_the_next_delivery_tells_the_end_again(
    platform_databases: Databases, bus_url: str, tmp_path: Path, track: Track
) -> None:
    """The same connection gets the rest and `[DONE]`; one engine call, one attempt, one charge, as measured."""
    async with (
        api_process(platform_databases, bus_url, tmp_path / "keyring") as api,
        dying(platform_databases, bus_url, tmp_path) as first,
    ):
        await knows_models(api)
        async with client(api, max_tokens=100).reading() as stream:
            await stream.has(20)
            async with inference_process(platform_databases, bus_url, tmp_path):
                await stream.over()
                row = await track.charged_as_recorded(stream.request_id)
        assert await asyncio.wait_for(first.wait(), PATIENCE) == -signal.SIGKILL
    assert (stream.is_done, stream.finish, stream.text.split()) == (True, ["length"], ["water"] * 100)
    assert (row["outcome"], row["attempt"], row["completion_tokens"], row["measure"]) == (
        "succeeded",
        1,
        100,
        "measured",
    )
    assert track.calls(stream.request_id) == 1
