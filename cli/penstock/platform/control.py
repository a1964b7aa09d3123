"""What other commands ask of the running supervisor, over a socket that only its user and root may use."""

import asyncio
import contextlib
import json
import os
import secrets
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

from penstock.platform.errors import NotRunning, PlatformError
from penstock_common.errors import PenstockError

Say = Callable[[str], None]
Carry = Callable[[Sequence[str], Say], Awaitable[None]]
RESTART, MIGRATE = "restart", "migrate"
_UCRED = struct.Struct("iII")
_LINE_BYTES = 1 << 16


class Control:
    """Takes one order a connection: a line of JSON; answers with lines, the last of them an outcome."""

    def __init__(self, orders: Mapping[str, Carry]) -> None:
        """`orders` by what they are called."""
        self.name = f"penstock-{secrets.token_hex(8)}"
        """In Linux's abstract namespace: a path could be longer than a socket's may be."""
        self._orders = orders
        self._server: asyncio.Server | None = None
        self._working: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Take orders."""
        self._server = await asyncio.start_unix_server(self._serve, f"\0{self.name}", limit=_LINE_BYTES)

    async def stop(self) -> None:
        """Leave what is being done undone."""
        if self._server:
            self._server.close()
        for task in self._working:
            task.cancel()
        await asyncio.gather(*self._working, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._working.add(task)
        try:
            if _user_of(writer) in (0, os.getuid()):
                await self._carry_out(json.loads(await reader.readline()), lambda **line: _write(writer, line))
        except (OSError, ValueError):
            pass
        finally:
            self._working.discard(task)
            writer.close()

    async def _carry_out(self, order: dict[str, list[str]], tell: Callable[..., None]) -> None:
        try:
            ((name, arguments),) = order.items()
            if name not in self._orders:
                raise PlatformError(f"The platform that runs can't {name}: stop it, and start it with this version.")
            await self._orders[name](arguments, lambda text: tell(said=text))
        except PenstockError as error:
            tell(failed=str(error))
        else:
            tell(done=True)


async def ordered(name: str, order: str, arguments: Sequence[str]) -> AsyncIterator[str]:
    """Ask the supervisor for something; gives what it says meanwhile. Raises PlatformError with its reason if it can't.

    Whoever stops to listen does not stop it.
    """
    try:
        reader, writer = await asyncio.open_unix_connection(f"\0{name}", limit=_LINE_BYTES)
    except OSError as error:
        raise NotRunning(f"The platform can't be told to {order}: {error.strerror}. Is it still starting?") from error
    try:
        _write(writer, {order: list(arguments)})
        while line := await reader.readline():
            answer = json.loads(line)
            if "failed" in answer:
                raise PlatformError(answer["failed"])
            if "done" in answer:
                return
            yield answer["said"]
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    raise PlatformError(f"The platform ended before the {order} did; see: penstock logs, penstock status")


def _write(writer: asyncio.StreamWriter, line: object) -> None:
    writer.write(json.dumps(line).encode() + b"\n")


def _user_of(writer: asyncio.StreamWriter) -> int:
    peer: socket.socket = writer.get_extra_info("socket")
    _, user, _ = _UCRED.unpack(peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    return int(user)
