"""A channel that is set up again whenever it was lost."""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable
from typing import cast

import structlog
from aiormq.channel import Channel
from aiormq.exceptions import ConnectionInternalError

from penstock_common.errors import BusUnavailable
from penstock_common.messaging.deadletter import describe
from penstock_common.messaging.rabbit.link import FAILURES, OPEN_TIMEOUT, PAUSE, Link, unavailable

log = structlog.get_logger()

LONGEST_PAUSE = 1.0  # seconds; the server logs each refusal
FELLED_PAUSE = 30.0  # seconds; the longest where each attempt fells the other channels of the connection
SUSPICIOUS = 4  # attempts in a row that fell it: by then others have parted from the one that does
DAMAGED = "RabbitMQ fails when this queue is opened: delete the queue, and it is made anew and filled from the outboxes"
SETUP_TIMEOUT = 10.0  # seconds; a queue may be electing its leader, or a handler of this process may block it

Setup = Callable[[Channel], Awaitable[None]]
"""Declares and consumes on a fresh channel; repeated after each loss."""


class Held:
    """Survives a lost connection, a channel error and a consumer that the server cancelled."""

    def __init__(self, link: Link, name: str, setup: Setup, *, confirms: bool = False, vital: bool = True) -> None:
        self.link, self.name, self._setup, self._confirms, self._vital = link, name, setup, confirms, vital
        self.channel: Channel | None = None
        self._lost = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None

    @property
    def open(self) -> bool:
        """Whether the channel is set up now."""
        channel = self.channel
        return channel is not None and not channel.is_closed and not self._lost.is_set()

    async def start(self) -> None:
        """Set up once, then keep it. Raises BusUnavailable; `__cause__` has the server's reason."""
        if self._keeper:
            return
        await self._open()
        if self._vital:
            self.link.vital.add(self)
        self._keeper = asyncio.create_task(self._keep(), name=f"rabbit {self.name}")

    async def release(self) -> None:
        """Set up no more; the channel stays, for what is still to be settled on it."""
        self.link.vital.discard(self)
        if self._keeper:
            self._keeper.cancel()
            await asyncio.wait([self._keeper])

    async def stop(self) -> None:
        """Close the channel once the server has processed what was sent on it."""
        await self.release()
        channel, self.channel = self.channel, None
        if channel and not channel.is_closed:
            with contextlib.suppress(BusUnavailable):
                async with unavailable(OPEN_TIMEOUT):
                    await channel.close()

    def rebuild(self) -> None:
        """Set up again on a fresh channel; what the old one holds is delivered again."""
        self._lost.set()

    async def _open(self) -> None:
        async with unavailable(SETUP_TIMEOUT):
            connection = await self.link.ready()
            opened = await connection.channel(publisher_confirms=self._confirms, on_return_raises=True)
            channel = cast(Channel, opened)
            lost = asyncio.Event()
            channel.on_consumer_cancel_callbacks.add(lambda _: lost.set())
            try:
                await self._setup(channel)
            except FAILURES:
                if not channel.is_closed:
                    await channel.close()
                raise
        self.channel, self._lost = channel, lost

    async def _keep(self) -> None:
        while True:
            assert self.channel is not None
            await self._loss(self.channel)
            await self._reopen()

    async def _loss(self, channel: Channel) -> None:
        cancelled = asyncio.ensure_future(self._lost.wait())
        try:
            await asyncio.wait([channel.closing, cancelled], return_when=asyncio.FIRST_COMPLETED)
        finally:
            cancelled.cancel()
        self._lost.set()
        if not channel.is_closed:
            log.warning("bus.channel_cancelled", channel=self.name)
            with contextlib.suppress(BusUnavailable):
                async with unavailable(OPEN_TIMEOUT):
                    await channel.close()

    async def _reopen(self) -> None:
        """Try until it works; say once why it does not."""
        told, pause, felled = False, PAUSE, 0
        while True:
            try:
                return await self._open()
            except Exception as error:  # whatever it is, nobody else would set it up again
                felled = felled + 1 if is_felling(error) else 0
                if felled == SUSPICIOUS:
                    log.error("bus.queue_damaged", channel=self.name, reason=describe(error), hint=DAMAGED)
                elif self.link.connected and not told:
                    told = True
                    log.warning("bus.channel_refused", channel=self.name, reason=describe(error))
                if felled:
                    pause = min(2 * pause, FELLED_PAUSE)
                else:
                    pause = min(2 * pause, LONGEST_PAUSE) if self.link.connected else PAUSE
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 (channels that fell together part)


def is_felling(error: BaseException) -> bool:
    """Whether the server answered a setup by closing the connection with all of its channels, for reasons of its own.

    It does so for a queue whose log it can't open, as after a full disk, and knows of no more than the connection.
    """
    return isinstance(error.__cause__ or error, ConnectionInternalError)
