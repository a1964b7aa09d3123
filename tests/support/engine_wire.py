"""An engine that sends exactly the bytes that a test names, split exactly there, and ends as it is told."""

import asyncio
import contextlib
import socket
import struct
from collections import deque
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from enum import StrEnum

from tests.support.engine_fake import Asked, read_request

APART = 3  # turns of the loop between two pieces, so that they are read one by one


class After(StrEnum):
    """What becomes of the connection once all pieces are sent."""

    KEEP = "keep"
    CLOSE = "close"
    RESET = "reset"
    HANG = "hang"
    """Neither a byte nor the end."""
    REPEAT = "repeat"
    """The last bytes and pause again and again, for ever."""


@dataclass(frozen=True, slots=True)
class Wire:
    """One answer with its HTTP head: bytes, each sent by itself, and pauses in seconds."""

    pieces: tuple[bytes | float, ...]
    after: After = After.KEEP

    @property
    def data(self) -> bytes:
        """All bytes."""
        return b"".join(piece for piece in self.pieces if isinstance(piece, bytes))

    def one_by_one(self) -> "Wire":
        """The same, a byte at a time."""
        return replace(self, pieces=tuple(bytes([byte]) for byte in self.data))


def head(status: str = "200 OK", **headers: str) -> bytes:
    """The head of an HTTP answer; `_` stands for `-`."""
    lines = [f"HTTP/1.1 {status}", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode()


def stream_head(**headers: str) -> bytes:
    """The head of a stream of events in HTTP's chunks."""
    return head(**{"content_type": "text/event-stream", "transfer_encoding": "chunked"} | headers)


def framed(data: bytes) -> bytes:
    """One HTTP chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)


LAST = b"0\r\n\r\n"


def sent(*pieces: bytes | float, after: After = After.KEEP, **headers: str) -> Wire:
    """A stream whose body is these pieces, each an HTTP chunk, ended by the last chunk where the connection is kept."""
    body = [framed(piece) if isinstance(piece, bytes) else piece for piece in pieces]
    return Wire((stream_head(**headers), *body, *([LAST] if after is After.KEEP else [])), after)


def whole(body: bytes, status: str = "200 OK", after: After = After.KEEP, **headers: str) -> Wire:
    """An answer of a known length."""
    given = {"content_type": "application/json", "content_length": str(len(body))} | headers
    return Wire((head(status, **given), body), after)


class WireEngine:
    """Gives the answers it was told to give, in order."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.connections: list[int] = []
        """For each request, on which connection it came."""
        self.port = self._opened = 0
        self._answers: deque[Wire] = deque()
        self._serving: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """The base URL."""
        return f"http://127.0.0.1:{self.port}/v1"

    def will(self, *answers: Wire) -> None:
        """Answer the next requests so."""
        self._answers.extend(answers)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["WireEngine"]:
        """Serve on a free port."""
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task in self._serving:
                task.cancel()
            await asyncio.gather(*self._serving, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._serving.add(task)
        self._opened += 1
        number = self._opened
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            while asked := await read_request(reader):
                self.asked.append(asked)
                self.connections.append(number)
                if not await play(self._answers.popleft(), writer):
                    break
        self._serving.discard(task)
        writer.close()


async def play(wire: Wire, writer: asyncio.StreamWriter) -> bool:
    """Send an answer; whether the connection takes another request."""
    await send(wire.pieces, writer)
    while wire.after is After.REPEAT:
        await send(wire.pieces[-2:], writer)
    if wire.after is After.HANG:
        await asyncio.Event().wait()
    if wire.after is After.RESET:
        reset(writer)
    return wire.after is After.KEEP


async def send(pieces: Iterable[bytes | float], writer: asyncio.StreamWriter) -> None:
    """Write bytes by themselves, wait for seconds."""
    for piece in pieces:
        if isinstance(piece, float):
            await asyncio.sleep(piece)
            continue
        writer.write(piece)
        await writer.drain()
        for _ in range(APART):
            await asyncio.sleep(0)


def reset(writer: asyncio.StreamWriter) -> None:
    """End the connection with a RST instead of a FIN."""
    connection: socket.socket = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
