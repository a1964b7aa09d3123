"""One process takes over from another on a socket: the new one when it is ready, the old one to its last answer."""

import asyncio
import http.client
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TypeVar

import pytest

from penstock.platform.ports import listen
from tests.unit.common.test_service import COMPLETE

T = TypeVar("T")


class Served:
    """A listening socket that outlives whoever serves it."""

    def __init__(self, folder: Path) -> None:
        listener = listen(0)
        assert listener
        self.listener, self.folder = listener, folder
        self.port: int = listener.getsockname()[1]
        self.processes: list[asyncio.subprocess.Process] = []

    async def start(self, *, when_ready: bool = False, absent: int = 0) -> tuple[asyncio.subprocess.Process, int]:
        """A process of the tiny service on the socket, and where it says that it is ready."""
        told, tell = os.pipe()
        environment = COMPLETE | {
            "PENSTOCK_TINY_HTTP__PORT": str(self.port),
            "PENSTOCK_TINY_HTTP__FD": str(self.listener.fileno()),
            "PENSTOCK_TINY_HTTP__WHEN_READY": str(when_ready),
            "PENSTOCK_TINY_READY_FD": str(tell),
            "PENSTOCK_TINY_ABSENT": str(absent),
        }
        with (self.folder / "log").open("a") as log:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tests.support.tiny_service"),
                env=os.environ | environment,
                stderr=log,
                pass_fds=(self.listener.fileno(), tell),
            )
        os.close(tell)
        self.processes.append(process)
        return process, told

    async def ready(self) -> asyncio.subprocess.Process:
        """One that is ready."""
        process, told = await self.start()
        assert await asyncio.to_thread(os.read, told, 10) == b"\n"
        return process

    def client(self) -> http.client.HTTPConnection:
        """A kept connection."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    made = Served(tmp_path)
    yield made
    made.listener.close()
    for process in made.processes:
        if process.returncode is None:
            process.kill()
            await process.wait()


def get(client: http.client.HTTPConnection, path: str) -> tuple[int, str, str | None]:
    client.request("GET", path)
    answer = client.getresponse()
    return answer.status, answer.read().decode(), answer.getheader("connection")


async def soon(check: Callable[[], T]) -> T:
    return await asyncio.wait_for(asyncio.to_thread(check), 30)


async def test_a_connection_that_is_kept_is_answered_once_more_and_told(served: Served) -> None:
    """A request that is on its way when the process is to end is no lost one."""
    process = await served.ready()
    client = served.client()
    assert await soon(lambda: get(client, "/healthz")) == (200, '{"status":"ok"}', None)
    process.send_signal(signal.SIGQUIT)
    await asyncio.sleep(0.5)
    assert await soon(lambda: get(client, "/healthz")) == (200, '{"status":"ok"}', "close")
    assert await asyncio.wait_for(process.wait(), 5) == 0


async def test_what_runs_is_answered_before_the_process_ends(served: Served) -> None:
    """Also by a connection that the client wants to keep."""
    process = await served.ready()
    asking = asyncio.create_task(soon(lambda: get(served.client(), "/slow")))
    while "slow.begun" not in (served.folder / "log").read_text():
        await asyncio.sleep(0.02)
    process.send_signal(signal.SIGQUIT)
    assert await asking == (200, "done", "close")
    assert await asyncio.wait_for(process.wait(), 5) == 0


async def test_connections_that_come_later_are_the_successors(served: Served) -> None:
    """None is reset and none refused: they wait until somebody takes them."""
    former = await served.ready()
    idle = served.client()
    await soon(lambda: get(idle, "/healthz"))
    former.send_signal(signal.SIGQUIT)
    await asyncio.sleep(0.3)
    asking = asyncio.create_task(soon(lambda: get(served.client(), "/healthz")))
    await asyncio.sleep(0.3)
    assert not asking.done()
    await served.ready()
    assert (await asking)[0] == 200
    former.terminate()
    assert await asyncio.wait_for(former.wait(), 5) == 0


async def test_a_successor_takes_nothing_before_it_is_ready(served: Served) -> None:
    """Whoever asks meanwhile waits, and is not told that it is starting."""
    asking = asyncio.create_task(soon(lambda: get(served.client(), "/readyz")))
    _, told = await served.start(when_ready=True, absent=5)
    assert (await asking)[:2] == (200, '{"ready":true,"checks":{"started":true}}')
    assert await asyncio.to_thread(os.read, told, 10) == b"\n"


async def test_a_stop_before_it_is_ready_ends_it(served: Served) -> None:
    """It took no request, and takes none on its way out."""
    process, _ = await served.start(when_ready=True, absent=10_000)
    while "dependency.awaited" not in (served.folder / "log").read_text():
        await asyncio.sleep(0.02)
    process.terminate()
    assert await asyncio.wait_for(process.wait(), 10) == 0
    with socket.create_connection(("127.0.0.1", served.port)) as connection:
        connection.settimeout(0.2)
        with pytest.raises(TimeoutError):
            connection.recv(1)
