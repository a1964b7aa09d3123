"""Receives a durable lane on the plain client."""

import asyncio

import structlog
from aiormq.abc import DeliveredMessage
from aiormq.channel import Channel

from penstock_common.errors import BusUnavailable
from penstock_common.messaging.deadletter import describe
from penstock_common.messaging.ports import Take
from penstock_common.messaging.rabbit.held import Held
from penstock_common.messaging.rabbit.link import OPEN_TIMEOUT, Link, unavailable
from penstock_common.messaging.rabbit.pulse import Pulse
from penstock_common.messaging.rabbit.wire import incoming
from penstock_common.messaging.topology import Consumer

log = structlog.get_logger()

CONSUMER_TIMEOUT = 86_400_000  # milliseconds that one delivery may take; servers before 3.12 ignore it
LOOK_EVERY = 5.0  # seconds


class Pull:
    """One consumer with a channel of its own; `lane.prefetch` deliveries at once, each begun as it arrives."""

    def __init__(self, link: Link, pulse: Pulse, lane: Consumer, take: Take, look_every: float = LOOK_EVERY) -> None:
        self._link, self._pulse, self._lane, self._take = link, pulse, lane, take
        self._look_every = look_every
        self._held = Held(link, lane.name, self._consume, vital=False)
        self._busy = self._received = 0
        self._tags: list[str] = []

    @property
    def channel(self) -> Channel | None:
        """The channel of its consumer, while there is one."""
        return self._held.channel

    async def start(self) -> None:
        """Receive from now on, or from when the queue can be opened on."""
        await self._held.start()
        self._watcher = asyncio.create_task(self._watch(), name=f"watch {self._lane.name}")

    async def stop(self) -> None:
        """Cancel the consumer; what arrived before the server knew has begun and counts as in flight."""
        self._watcher.cancel()
        await self._held.release()
        channel = self.channel
        if channel and not channel.is_closed:
            try:
                async with unavailable(OPEN_TIMEOUT):
                    for tag in self._tags:
                        await channel.basic_cancel(tag)
            except BusUnavailable as error:
                log.warning("consumer.uncancelled", consumer=self._lane.name, reason=error.message)
        await asyncio.sleep(0)  # lets the last ones begin

    async def _consume(self, channel: Channel) -> None:
        await channel.basic_qos(prefetch_count=self._lane.prefetch)
        self._tags = []
        for queue in self._lane.queues:
            consumed = await channel.basic_consume(
                queue, self._on_message, arguments={"x-consumer-timeout": CONSUMER_TIMEOUT}
            )
            assert consumed.consumer_tag is not None
            self._tags.append(consumed.consumer_tag)

    async def _on_message(self, message: DeliveredMessage) -> None:
        # Not handled here: aiormq cancels this with the channel, but a handler may outlive a lost connection.
        self._received += 1
        self._busy += 1
        self._take(incoming(message, self._lane, self._pulse.now()), self._free)

    def _free(self, count: int) -> None:
        self._busy -= count

    async def _watch(self) -> None:
        """Rebuild a consumer that got nothing, and held nothing, while messages waited all the time."""
        before, waited = -1, False
        while True:
            await asyncio.sleep(self._look_every)
            idle = self._received == before and not self._busy
            before = self._received
            if not (idle and await self._waiting()):
                waited = False
            elif waited:
                log.error("consumer.stalled", consumer=self._lane.name)
                self._held.rebuild()
                waited = False
            else:
                waited = True

    async def _waiting(self) -> bool:
        """Whether the server has messages that nobody else would be given first."""
        if not self._held.open:
            return False
        try:
            async with unavailable(OPEN_TIMEOUT):
                channel = await (await self._link.ready()).channel(publisher_confirms=False)
                found = [await channel.queue_declare(queue, passive=True) for queue in self._lane.queues]
                await channel.close()
        except BusUnavailable as error:
            log.warning("consumer.unwatched", consumer=self._lane.name, reason=describe(error))
            return False
        elsewhere = self._lane.ordered and any((queue.consumer_count or 0) > 1 for queue in found)
        return any(queue.message_count for queue in found) and not elsewhere
