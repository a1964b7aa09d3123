"""One connection to RabbitMQ that comes back by itself, and what can go wrong on it."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from typing import Protocol

import aiormq
import structlog
from aiormq.exceptions import AMQPError
from pamqp.exceptions import PAMQPException
from yarl import URL

from penstock_common.errors import BusUnavailable
from penstock_common.messaging import metrics
from penstock_common.messaging.deadletter import describe

log = structlog.get_logger()

FAILURES = (AMQPError, PAMQPException, OSError, TimeoutError, RuntimeError)
"""What aiormq raises for a connection, channel or message that failed."""

HEARTBEAT = 4  # seconds; the server gives a silent process up after two to three of them
OPEN_TIMEOUT = 3.0  # seconds
PAUSE = 0.25  # seconds between attempts

# What is lost is told once, by us; aiormq prints a traceback at each attempt, and a line for each channel.
logging.getLogger("aiormq.connection").setLevel(logging.CRITICAL)
logging.getLogger("aiormq.channel").setLevel(logging.ERROR)
# Nor is a returned message printed, with all that is in it.
logging.getLogger("aiormq.channel").addFilter(lambda record: not str(record.msg).startswith("Unhandled message"))


class Connection(aiormq.Connection):
    """Sends without waiting while up to this many messages wait for the socket."""

    FRAME_BUFFER_SIZE = 16_384
    HEARTBEAT_GRACE_MULTIPLIER = 2


@contextlib.asynccontextmanager
async def unavailable(timeout: float) -> AsyncIterator[None]:
    """Whatever fails or takes longer than `timeout` seconds inside is BusUnavailable."""
    try:
        async with asyncio.timeout(timeout):
            yield
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        # aiormq cancels what waits on a connection that it gave up: nobody cancelled this task
        raise BusUnavailable("the connection was lost") from None
    except FAILURES as error:
        raise BusUnavailable(describe(error)) from error


class Channel(Protocol):
    """What is set up on a connection."""

    @property
    def open(self) -> bool:
        """Whether it is set up now."""


class Link:
    """The connection of one process; reconnects until it is closed."""

    def __init__(self, url: str, name: str) -> None:
        self.url = str(URL(url).update_query(heartbeat=str(HEARTBEAT), name=name))
        self._name = name
        self.vital: set[Channel] = set()
        """The channels without which the connection is of no use."""
        self._connection: Connection | None = None
        self._others: set[Connection] = set()
        self._up = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None

    @property
    def connected(self) -> bool:
        """Whether the connection is up now."""
        return self._up.is_set() and self._connection is not None and self._connection.is_opened

    @property
    def usable(self) -> bool:
        """Whether every vital channel is set up now."""
        return self.connected and all(channel.open for channel in self.vital)

    async def connect(self) -> None:
        """Connect once, then stay connected. Raises BusUnavailable."""
        if self._keeper is None:
            await self._open()
            self._keeper = asyncio.create_task(self._keep(), name="rabbit link")

    async def close(self) -> None:
        """Disconnect for good."""
        if self._keeper:
            self._keeper.cancel()
            await asyncio.wait([self._keeper])
        self._up.clear()
        for connection in filter(None, (*self._others, self._connection)):
            await self.leave(connection)

    async def another(self, purpose: str) -> Connection:
        """One more connection, not opened again once it is lost; `close` ends it too. Raises BusUnavailable."""
        connection = Connection(str(URL(self.url).update_query(name=f"{self._name} {purpose}")))
        async with unavailable(OPEN_TIMEOUT):
            await connection.connect()
        self._others.add(connection)
        return connection

    async def leave(self, connection: Connection) -> None:
        """Disconnect one of them."""
        self._others.discard(connection)
        with contextlib.suppress(BusUnavailable):
            async with unavailable(OPEN_TIMEOUT):
                await connection.close()

    async def ready(self) -> Connection:
        """The connection, once it is up."""
        await self._up.wait()
        assert self._connection is not None
        return self._connection

    async def _open(self) -> None:
        connection = Connection(self.url)
        async with unavailable(OPEN_TIMEOUT):
            await connection.connect()
        self._connection = connection
        self._up.set()

    async def _keep(self) -> None:
        while True:
            connection = await self.ready()
            await asyncio.wait([connection.closing])
            self._up.clear()
            log.warning("bus.disconnected", bus="rabbitmq", connection=self._name)
            await self._reopen()
            metrics.RECONNECTS.labels("rabbitmq").inc()
            log.info("bus.reconnected", bus="rabbitmq", connection=self._name)

    async def _reopen(self) -> None:
        while True:
            try:
                return await self._open()
            except Exception as error:  # whatever it is, nobody else would connect again
                log.debug("bus.unreachable", bus="rabbitmq", reason=describe(error))
                await asyncio.sleep(PAUSE)
