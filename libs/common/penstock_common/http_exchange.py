"""One HTTP exchange on its connection, for routes whose own work costs less than ASGI's messages would."""

from collections.abc import Callable

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

EXCHANGE = "penstock.exchange"
"""The extension of an ASGI scope that holds its `Exchange`."""

CHUNKED = b"transfer-encoding: chunked\r\n"
CLOSE = b"connection: close\r\n"
LAST_CHUNK = b"0\r\n\r\n"

Left = Callable[[], None]


class Exchange:
    """A request that arrived, and its response. What answers by it sends nothing by ASGI.

    Nothing here waits but `room`: what is written while `is_full` is kept in memory.
    """

    __slots__ = ("_cycle", "_watch")

    def __init__(self, cycle: RequestResponseCycle, watch: Callable[[Left], None]) -> None:
        self._cycle, self._watch = cycle, watch

    def body(self) -> bytes | None:
        """The body, where all of it is here; None where `receive` must wait for it."""
        cycle = self._cycle
        if cycle.more_body or cycle.disconnected:
            return None
        body, cycle.body = bytes(cycle.body), bytearray()
        cycle.message_event.clear()
        return body

    def watch(self, left: Left) -> None:
        """Call `left` once the client is gone, at once where it is; until the response is complete."""
        if self._cycle.disconnected:
            left()
            return
        self._watch(left)
        self._cycle.flow.resume_reading()  # who does not read does not learn that the client left

    @property
    def is_full(self) -> bool:
        """Whether the client takes less than it is sent."""
        return self._cycle.flow.write_paused

    async def room(self) -> None:
        """Return once the client made room, or is gone."""
        await self._cycle.flow.drain()

    def start(self, status: int, head: bytes, body: bytes = b"", *, keep_alive: bool = True) -> None:
        """Send the status, the lines of `head` (each with its end) and what of the body needs no framing."""
        cycle = self._cycle
        if cycle.disconnected:
            return
        cycle.response_started, cycle.waiting_for_100_continue = True, False
        cycle.keep_alive = cycle.keep_alive and keep_alive
        always = [b"%b: %b\r\n" % line for line in cycle.default_headers]
        end = b"\r\n" if cycle.keep_alive else CLOSE + b"\r\n"
        cycle.transport.write(b"".join((STATUS_LINE[status], *always, head, end, body)))

    def chunk(self, data: bytes, *, is_last: bool = False) -> None:
        """Send some of a body whose head said `CHUNKED`."""
        cycle = self._cycle
        if not cycle.disconnected:
            framed = b"%x\r\n%b\r\n" % (len(data), data) if data else b""
            cycle.transport.write(framed + LAST_CHUNK if is_last else framed)

    def finish(self) -> None:
        """The response is complete."""
        cycle = self._cycle
        if cycle.disconnected:
            return
        cycle.response_complete = True
        cycle.message_event.set()
        if not cycle.keep_alive:
            cycle.transport.close()
        cycle.on_response()
        cycle.scope["extensions"] = {}  # a scope that holds what holds it would be left to the garbage collector

    def abort(self) -> None:
        """Cut the connection at once: what was not sent yet is thrown away."""
        self._cycle.transport.abort()
