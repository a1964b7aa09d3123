"""Audits the running platform once a minute, in processes that end at once, and serves what was found to Prometheus."""

import asyncio
import contextlib
import json
import signal
import sys
import time
from pathlib import Path

from penstock.auditing.place import Place, pause
from penstock.platform.cancelling import end
from penstock.platform.fleet import Fleet
from penstock.platform.folder import DataFolder
from penstock.platform.forking import Forked
from penstock.platform.logs import Console
from penstock.platform.ports import LOOPBACK
from penstock.platform.program import Program, plain_environment

NAME = "audit"
FIRST_AFTER = 15.0  # seconds after the start, which has enough to do
MOST_SECONDS = 300.0
_HEAD_BYTES = 1 << 13
_HEAD_SECONDS = 5.0
ANSWER = "HTTP/1.1 200 OK\r\ncontent-type: text/plain; version=0.0.4\r\ncontent-length: {}\r\nconnection: close\r\n\r\n"


class AuditWatch:
    """Looks through processes of a fleet, on the bus that the fleet uses then."""

    def __init__(self, folder: DataFolder, console: Console, fleet: Fleet) -> None:
        self._place, self._data = Place.of(folder.root), folder.root
        self._console, self._fleet = console, fleet
        self._server: asyncio.Server | None = None
        self._task: asyncio.Task[None] | None = None
        self._said = ""

    async def start(self) -> str:
        """Watch from now on; gives the URL of its metrics."""
        self._server = await asyncio.start_server(self._serve, LOOPBACK, 0, limit=_HEAD_BYTES)
        self._task = asyncio.create_task(self._run())
        port = self._server.sockets[0].getsockname()[1]
        return f"http://{LOOPBACK}:{port}/metrics"

    async def stop(self) -> None:
        """Watch no more."""
        if self._server:
            self._server.close()
        if self._task:
            await end(self._task)

    async def _run(self) -> None:
        await asyncio.sleep(FIRST_AFTER)
        while True:
            began = time.monotonic()
            try:
                if not self._fleet.former:  # on the way from one bus to another, what the one lacks the other has
                    self._tell(await self._look())
            except Exception as error:  # whatever it is, the platform runs on
                self._tell(f"{error!r}")
            await asyncio.sleep(pause(time.monotonic() - began))

    async def _look(self) -> str:
        """One look; gives why there was none."""
        addresses = self._fleet.addresses
        order = {"database": addresses.audit_database, "bus": addresses.bus, "data": str(self._data)}
        process = await self._fleet.zygote.spawn(_program(), json.dumps(order).encode())
        try:
            async with asyncio.timeout(MOST_SECONDS):
                said = await process.stdout.read()
                status = await process.wait()
        finally:
            await _end(process)
        return said.decode(errors="replace").strip().rpartition("\n")[2] if status else ""

    def _tell(self, problem: str) -> None:
        """Say what changed."""
        told = f"the audit can't look: {problem}" if problem else _found(self._place.last())
        if told != self._said:
            self._console.say("penstock", told or "the audit finds nothing missing any more")
        self._said = told

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            async with asyncio.timeout(_HEAD_SECONDS):
                await reader.readuntil(b"\r\n\r\n")
                body = _content(self._place.metrics)
                writer.write(ANSWER.format(len(body)).encode() + body)
                await writer.drain()
        writer.close()


async def _end(process: Forked) -> None:
    if process.returncode is None:
        process.send_signal(signal.SIGKILL)
        await process.wait()


def _program() -> Program:
    return Program(
        name=NAME, argv=(sys.executable, "-m", "penstock.auditing.turn"), env=plain_environment(), cwd=Path("/")
    )


def _found(report: dict[str, object]) -> str:
    """What a report says that somebody should know at once; empty where it is nothing."""
    if report.get("clean", True):
        return ""
    return "the audit of the bus finds messages that are missing, never said or there twice; see: penstock audit bus"


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
