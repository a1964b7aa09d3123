"""The cable between a service and a server: it can be cut, fall silent, be slow, and mishandle acknowledgements."""

import asyncio
import contextlib
import random
import socket
import struct
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit, urlunsplit

from penstock.platform.ports import LOOPBACK
from tests.chaos.acks import NATS, Framing, Handling, Mood

CHUNK = 1 << 16
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: a close that says RST
BROKEN = (OSError, asyncio.IncompleteReadError)


@dataclass
class Weather:
    """What passes a cable, and how."""

    late: float = 0.0
    """Seconds by which each piece is late."""
    rate: float = 0.0
    """Bytes a second; 0 for as fast as it goes."""
    mood: Mood = Mood.FAIR
    """What becomes of acknowledgements."""
    passes: asyncio.Event = field(default_factory=asyncio.Event)
    """Set unless the cable is silent: then nothing passes, and nothing is closed."""

    def clear(self) -> None:
        """Everything passes at once."""
        self.late, self.rate, self.mood = 0.0, 0.0, Mood.FAIR
        self.passes.set()

    async def let_pass(self, size: int) -> None:
        """Wait as long as a piece of this size takes."""
        await self.passes.wait()
        if pause := self.late + (size / self.rate if self.rate else 0.0):
            await asyncio.sleep(pause)


class Cable:
    """A listening port, every connection of which goes on to the first of some servers that takes it."""

    def __init__(self, upstreams: Sequence[int], framing: Framing | None, chance: random.Random) -> None:
        self.upstreams, self.framing, self.chance = upstreams, framing, chance
        self.weather = Weather()
        self.weather.clear()
        self.acks_may_be_lost = framing is NATS
        """Whether the protocol lives with that; else a connection that lost one has to end."""
        self.port = 0
        self._open: set[asyncio.StreamWriter] = set()

    @asynccontextmanager
    async def laid(self) -> AsyncIterator["Cable"]:
        """Listen on a free port."""
        server = await asyncio.start_server(self._serve, LOOPBACK, 0, limit=CHUNK)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            self.cut()

    def cut(self) -> None:
        """Reset every connection; new ones are taken."""
        for writer in list(self._open):
            with contextlib.suppress(OSError, AttributeError):
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            await self.weather.let_pass(0)
            far_reader, far = await self._connect()
        except BROKEN:
            self._open.discard(writer)
            writer.transport.abort()
            return
        self._open.add(far)
        ways = (self._carry(reader, far, "up"), self._carry(far_reader, writer, "down"))
        tasks = [asyncio.create_task(way) for way in ways]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for end in (writer, far):
            self._open.discard(end)
            end.close()
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Raises OSError where no server takes it."""
        for port in self.upstreams:
            with contextlib.suppress(OSError):
                return await asyncio.open_connection(LOOPBACK, port, limit=CHUNK)
        raise ConnectionRefusedError(f"nobody listens on {self.upstreams}")

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: str) -> None:
        handling = Handling(self.framing, way, self.chance) if self.framing else None
        with contextlib.suppress(*BROKEN):
            while data := await reader.read(CHUNK):
                await self.weather.let_pass(len(data))
                writer.write(b"".join(handling.handle(data, self.weather.mood)) if handling else data)
                await writer.drain()


def through(url: str, port: int) -> str:
    """A server's URL, by way of a cable."""
    parts = urlsplit(url)
    account, at, _ = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{account}{at}{LOOPBACK}:{port}"))


def ports_of(urls: Iterable[str]) -> list[int]:
    """The ports of servers on this machine."""
    return [port for url in urls if (port := urlsplit(url).port)]
