"""The database restarts with a commit under way, or a frozen process holds a row: one end, one charge, nobody hangs."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

import pytest

from penstock_common.contracts.base import Wire, encode
from penstock_common.contracts.generation import GenerateText
from tests.conftest import Start
from tests.integration.inference.records.mute import MuteProxy
from tests.integration.races.track import PATIENCE, Client, Track, client
from tests.support.databases import Databases, temporary_platform
from tests.support.replicas import Replicas, replicas_on
from tests.support.servers import postgres_server

pytestmark = [pytest.mark.integration, pytest.mark.chaos]

ROOT = Path(__file__).resolve().parents[3]
FREED = 3.0
"""Seconds after which PostgreSQL ends a transaction that idles."""
OTHERS = 2.0
"""Seconds that an answer may take which needs another row, on a busy machine."""
TOKENS = 60


async def test_unheard_commit_before_a_restart_counts_once(bus_url: str, private_server: Start, tmp_path: Path) -> None:
    """The row is committed, its word is lost with the server: back again, it tells by its nonce that it is ours."""
    server = private_server(postgres_server())
    async with (
        temporary_platform(getattr(server.kind, "maintenance_url", server.url)) as databases,
        MuteProxy(databases.services["inference"]) as proxy,
        replicas_on(behind(databases, proxy), bus_url, tmp_path) as replicas,
        client(replicas.first, max_tokens=TOKENS).reading() as stream,
    ):
        track = Track(databases, tmp_path)
        await stream.has(1)
        proxy.word = f"{stream.request_id}.completed".encode()
        assert (await track.row(stream.request_id))["outcome"] == "succeeded"
        assert not stream.is_done
        await asyncio.to_thread(server.kill)
        proxy.word = b""
        proxy.cut()
        await asyncio.to_thread(server.start)
        await stream.over()
        await must_have_ended_once(stream, track)


async def must_have_ended_once(stream: Client, track: Track) -> None:
    """Whole and charged as measured, of one attempt, which won, and one engine call."""
    row = await track.charged_as_recorded(stream.request_id)
    assert (stream.is_done, stream.finish, stream.text.split()) == (True, ["length"], ["water"] * TOKENS)
    assert tuple(row.values())[:2] == ("succeeded", 1)
    assert (row["completion_tokens"], row["measure"]) == (TOKENS, "measured")
    assert (track.calls(stream.request_id), await track.costs(stream.request_id)) == (1, 0)


def behind(databases: Databases, proxy: MuteProxy) -> Databases:
    """The same, but inference goes by way of the proxy."""
    return Databases(databases.admin, databases.audit, {**databases.services, "inference": proxy.url})


@asynccontextmanager
async def holder(databases: Databases, folder: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process that could take a request over."""
    given = (databases.services["inference"], str(folder / "keyring"))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.integration.races.holding", *given),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        cwd=ROOT,
    )
    try:
        await told(process, "ready")
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def told(process: asyncio.subprocess.Process, word: str) -> None:
    """Wait until the process says so."""
    assert process.stdout
    async with asyncio.timeout(PATIENCE):
        while (line := await process.stdout.readline()).strip() != word.encode():
            assert line, f"it ended before it was {word}"


async def begin_holding(process: asyncio.subprocess.Process, command: GenerateText) -> None:
    """Have it take the request over, until it is frozen."""
    assert process.stdin
    process.stdin.write(encode(command, Wire.MSGPACK))
    process.stdin.close()
    await told(process, "holds")


async def seconds_of_another(replicas: Replicas) -> float:
    """How long somebody waits who asks for something else now."""
    began = time.monotonic()
    async with client(replicas.second, model="sim/fast", max_tokens=5).reading() as stream:
        await stream.over()
    assert stream.is_done
    return time.monotonic() - began


async def test_a_frozen_holder_of_a_row_holds_up_nobody_for_long(
    replicas: Replicas, platform_databases: Databases, track: Track, tmp_path: Path
) -> None:
    """The end of its request waits until PostgreSQL frees the row, and counts; other ends do not wait at all."""
    async with (
        holder(platform_databases, tmp_path) as frozen,
        client(replicas.first, max_tokens=TOKENS).reading() as stream,
    ):
        await stream.has(len("water ") * (TOKENS - 10))
        await begin_holding(frozen, replicas.inference.registry.runs[UUID(stream.request_id)].command)
        held = time.monotonic()
        waited = [await seconds_of_another(replicas) for _ in range(5)]
        await stream.over()
        assert time.monotonic() - held < FREED + 5
        os.kill(frozen.pid, signal.SIGCONT)
        assert await asyncio.wait_for(frozen.wait(), PATIENCE) != 0
    assert max(waited) < OTHERS
    await must_have_ended_once(stream, track)
