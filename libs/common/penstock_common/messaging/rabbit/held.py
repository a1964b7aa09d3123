"""A channel that is set up again whenever it was lost."""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable
from typing import cast

import structlog
from aiormq.channel import Channel

from penstock_common.errors import BusUnavailable
from penstock_common.messaging.rabbit.link import FAILURES, OPEN_TIMEOUT, Connection, Link, unavailable
from penstock_common.messaging.rabbit.trouble import Trouble

log = structlog.get_logger()

SETUP_TIMEOUT = 10.0  # seconds; a queue may be electing its leader, or a handler of this process may block it

Setup = Callable[[Channel], Awaitable[None]]
"""Declares and consumes on a fresh channel; repeated after each loss."""


class Held:
    """Survives a lost connection, a channel error and a consumer that the server cancelled."""

    def __init__(self, link: Link, name: str, setup: Setup, *, confirms: bool = False, vital: bool = True) -> None:
        """What is not `vital` to its link is started also where it can't be set up yet."""
        self.link, self.name, self._setup, self._confirms, self._vital = link, name, setup, confirms, vital
        self.channel: Channel | None = None
        self._own: Connection | None = None
        """The connection of this channel alone, once setting it up felled the one of the link."""
        self._lost = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None

    @property
    def open(self) -> bool:
        """Whether the channel is set up now."""
        channel = self.channel
        return channel is not None and not channel.is_closed and not self._lost.is_set()

    async def start(self) -> None:
        """Set up once, then keep it. Raises BusUnavailable where it is vital; `__cause__` has the server's reason."""
        if self._keeper:
            return
        failure: BusUnavailable | None = None
        try:
            await self._open()
        except BusUnavailable as error:
            if self._vital:
                raise
            failure = error
        if self._vital:
            self.link.vital.add(self)
        self._keeper = asyncio.create_task(self._keep(failure), name=f"rabbit {self.name}")

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
        await self._leave()

    def rebuild(self) -> None:
        """Set up again on a fresh channel; what the old one holds is delivered again."""
        self._lost.set()

    async def _open(self, *, apart: bool = False) -> None:
        self._own = await self.link.another(self.name) if apart else None
        try:
            async with unavailable(SETUP_TIMEOUT):
                self.channel, self._lost = await self._made(self._own or await self.link.ready())
        except BaseException:
            await self._leave()
            raise

    async def _made(self, connection: Connection) -> tuple[Channel, asyncio.Event]:
        """A channel that is set up, and the event of its consumer being cancelled."""
        opened = await connection.channel(publisher_confirms=self._confirms, on_return_raises=True)
        channel, lost = cast(Channel, opened), asyncio.Event()
        channel.on_consumer_cancel_callbacks.add(lambda _: lost.set())
        try:
            await self._setup(channel)
        except FAILURES:
            if not channel.is_closed:
                await channel.close()
            raise
        return channel, lost

    async def _leave(self) -> None:
        own, self._own = self._own, None
        if own:
            await self.link.leave(own)

    async def _keep(self, failure: BusUnavailable | None) -> None:
        if failure:
            await self._reopen(failure)
        while True:
            assert self.channel is not None
            await self._loss(self.channel)
            await self._leave()
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

    async def _reopen(self, failure: Exception | None = None) -> None:
        """Try until it works, apart from the others where it fells them; `failure` is what came of a first attempt."""
        trouble = Trouble(self.name)
        while True:
            if failure:
                pause = trouble.pause(failure, connected=self.link.connected)
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 (channels that fell together part)
            try:
                return await self._open(apart=trouble.suspicious and not self._vital)
            except Exception as error:  # whatever it is, nobody else would set it up again
                failure = error
