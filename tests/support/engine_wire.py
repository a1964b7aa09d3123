"""An engine that sends exactly the bytes that a test names, split exactly there, and ends as it is told."""

import asyncio
import socket
import struct
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from tests.support.engine_socket import Asked, SocketEngine

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


class WireEngine(SocketEngine[Wire]):
    """Sends what it was told to send, whatever it is asked."""

    async def answer(self, asked: Asked, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Send the next answer; whether the connection takes another request."""
        return await play(self.answers.popleft(), writer)


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
