"""One request to an engine, and what comes back of it."""

import asyncio
from typing import Protocol

from penstock_common.errors import PenstockError
from penstock_inference.generating.pulse import Pulse

MOST_UNREAD = 256 * 1024  # bytes of a body that wait to be read before the engine must wait


class Carrier(Protocol):
    """The connection that an exchange is on."""

    def hold(self) -> None:
        """Read no more from the engine for now."""

    def go_on(self) -> None:
        """Read on."""

    def abort(self) -> None:
        """End the connection at once."""


class Exchange:
    """Filled by its connection, emptied by whoever asked. What came is read before what went wrong is raised."""

    __slots__ = (
        "_carrier",
        "_error",
        "_is_due",
        "_parts",
        "_pulse",
        "_size",
        "_urgent",
        "_waiter",
        "headers",
        "is_over",
        "status",
    )

    def __init__(self) -> None:
        self.status = 0
        """Of the answer; 0 until its head is there."""
        self.headers: dict[str, str] = {}
        """Names in lower case."""
        self.is_over = False
        """Whether the whole body came."""
        self._parts: list[bytes] = []
        self._size = 0
        self._error: PenstockError | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._carrier: Carrier | None = None
        self._pulse: Pulse | None = None
        self._urgent = b""
        self._is_due = False

    @property
    def content_type(self) -> str:
        """The media type, without its parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    async def answered(self) -> None:
        """Return once the head is there. Raises what went wrong."""
        while not self.status:
            if self._error:
                raise self._error
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter

    async def read(self) -> bytes:
        """All that came since the last read; waits for something, and gives nothing at the end of the body."""
        while not self._parts:
            if self.is_over:
                return b""
            if self._error:
                raise self._error
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        data = b"".join(self._parts) if len(self._parts) > 1 else self._parts[0]
        self._parts, self._size = [], 0
        if self._carrier:
            self._carrier.go_on()
        return data

    def gather(self, pulse: Pulse, urgent: bytes) -> None:
        """From now on wake the reader at ticks; at once only for bytes with `urgent` in them, and for the end."""
        self._pulse, self._urgent = pulse, urgent

    def hurry(self) -> None:
        """Wake the reader for everything again."""
        self._pulse = None

    def close(self) -> None:
        """Want no more of it: unless everything came, the engine's call ends at once."""
        if self._carrier:
            self._carrier.abort()
            self._carrier = None

    def carried_by(self, carrier: Carrier) -> None:
        """It goes out on this connection."""
        self._carrier = carrier

    def head(self, status: int, headers: dict[str, str]) -> None:
        """The head came."""
        self.status, self.headers = status, headers
        self._wake()

    def feed(self, data: bytes) -> None:
        """A piece of the body came."""
        self._parts.append(data)
        self._size += len(data)
        if self._pulse is None or self._urgent in data or self._size > MOST_UNREAD:
            self._wake()
        elif not self._is_due:
            self._is_due = True
            self._pulse.read(self._tick)
        if self._size > MOST_UNREAD and self._carrier:
            self._carrier.hold()

    def finish(self) -> None:
        """The whole body came."""
        self.is_over, self._carrier = True, None
        self._wake()

    def fail(self, error: PenstockError) -> None:
        """Nothing more comes, and why."""
        if not self.is_over and self._error is None:
            self._error = error
            self._wake()

    def _tick(self) -> None:
        self._is_due = False
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
