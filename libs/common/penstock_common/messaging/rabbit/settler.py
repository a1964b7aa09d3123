"""How a delivery ends on RabbitMQ."""

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence

import structlog
from aiormq.abc import ChannelFrame
from aiormq.channel import Channel
from aiormq.exceptions import ChannelInvalidStateError
from pamqp import commands as spec
from pamqp.base import Frame

from penstock_common.errors import BusUnavailable
from penstock_common.messaging.deadletter import ATTEMPTS, CONSUMER, FIRST, STORY, SUBJECT
from penstock_common.messaging.ports import Incoming
from penstock_common.messaging.rabbit.letters import DEATHS, EARLIER, story
from penstock_common.messaging.rabbit.publishing import Letter, Publisher
from penstock_common.messaging.rabbit.pulse import Pulse
from penstock_common.messaging.rabbit.wire import DEAD, Delivered, level_name, persistent
from penstock_common.messaging.topology import Consumer

log = structlog.get_logger()

CONFIRM_TIMEOUT = 60.0  # seconds; whoever asks a slow broker again has the message twice, and the broker more to do
UNMOVED_PAUSE = 0.5  # seconds
REMEMBERED = 4096  # stories of messages that are retried in place
LEVELS = (0.2, 0.5, 1.0, 2.0, 5.0, 30.0, 300.0)
"""Seconds: the delays that exist whatever the topology's rows say, for messages that are handed back."""


class RabbitSettler:
    """Acks on the delivery's own channel; everything else publishes the next life of the message, confirmed, first."""

    heartbeat: float | None = None

    def __init__(self, publisher: Publisher, pulse: Pulse) -> None:
        self._publisher, self._pulse = publisher, pulse
        self._begun: OrderedDict[tuple[str, str], dict[str, str]] = OrderedDict()

    def holds(self, message: Incoming) -> bool:
        """Whether this process may still speak for a delivery: its connection was never given up."""
        delivered: Delivered = message.raw
        channel = delivered.channel
        return channel.connection.is_opened and not channel.is_closed and self._pulse.unbroken(delivered.received)

    async def opening(self, message: Incoming, lane: Consumer) -> tuple[int, int]:
        """(attempt from 1, earlier attempts that ended without a word). Costs no round trip."""
        delivered: Delivered = message.raw
        told = 0 if lane.is_dead_lane else int(message.headers.get(ATTEMPTS, 0))
        deaths = 0 if lane.ordered else int(message.headers.get(DEATHS, 0)) + delivered.returns
        return told + delivered.returns + 1, deaths

    async def ack(self, *messages: Incoming) -> None:
        """Handled; never deliver again."""
        acks: dict[Channel, list[Frame]] = {}
        for message in messages:
            delivered: Delivered = message.raw
            message.settled = True
            if self._begun:
                self._begun.pop((delivered.lane.name, message.message_id), None)
            acks.setdefault(delivered.channel, []).append(spec.Basic.Ack(delivery_tag=delivered.tag))
        for channel, frames in acks.items():
            if channel.is_closed:
                log.info("delivery.taken_back", consumer=messages[0].raw.lane.name, messages=len(frames))
            else:
                await channel.write_queue.put(ChannelFrame.marshall(channel.number, frames))

    def extend(self, messages: Sequence[Incoming]) -> None:
        """Nothing to do: a delivery lives as long as its connection."""

    async def retry(self, message: Incoming, lane: Consumer, delay: float, reason: str) -> None:
        """Deliver again after `delay` seconds; the attempt counts. An ordered lane waits, so that nothing overtakes."""
        headers = self._story(message, message.attempt, reason)
        if lane.ordered:
            self._remember(lane, message.message_id, {name: headers[name] for name in (FIRST, STORY)})
            await self._return(message, delay)
        else:
            await self._wait(message, lane, headers, delay)

    async def hand_back(self, message: Incoming, delay: float = 0.0) -> None:
        """Deliver again, to anyone; the attempt was nobody's fault.

        A returned message counts as an attempt on servers before 4.3, so it is published anew instead, at the end of
        its queue. An ordered lane keeps its order and pays an attempt there.
        """
        if message.settled:
            return
        lane: Consumer = message.raw.lane
        if lane.ordered:
            await self._return(message, delay, fault=False)
            return
        told = int(message.headers.get(ATTEMPTS, 0)) + message.raw.returns
        carried = {SUBJECT: message.subject, **message.headers}
        carried |= {ATTEMPTS: str(told), DEATHS: str(self._deaths(message))}
        if delay > 0:
            await self._wait(message, lane, carried, delay)
        else:
            await self._move(message, "", lane.name, carried)

    async def quarantine(self, message: Incoming, lane: Consumer, attempts: int) -> None:
        """Have the server move it, which is where the queue's dead letters go.

        Moved by us it would be there twice: it may kill this process from there before its ack has left.
        """
        delivered: Delivered = message.raw
        message.settled = True
        with taken_back(message):
            await delivered.channel.basic_reject(delivered.tag, requeue=False, wait=False)

    async def bury(self, message: Incoming, lane: Consumer, attempts: int, reason: str) -> None:
        """Move to the dead letters, confirmed, then ack. A crash in between leaves two letters of one message id."""
        headers = self._story(message, attempts + int(message.headers.get(EARLIER, 0)), reason)
        headers = {k: v for k, v in headers.items() if k not in (EARLIER, DEATHS)} | {CONSUMER: lane.inbox_name}
        await self._move(message, DEAD, lane.dead_letters, headers)

    def _story(self, message: Incoming, attempts: int, reason: str) -> dict[str, str]:
        known = self._begun.get((message.raw.lane.name, message.message_id), {})
        headers = story({**message.headers, **known}, message.subject, attempts, reason, message.failure)
        return headers | {DEATHS: str(self._deaths(message))}

    @staticmethod
    def _deaths(message: Incoming) -> int:
        delivered: Delivered = message.raw
        return int(message.headers.get(DEATHS, 0)) + delivered.returns

    async def _wait(self, message: Incoming, lane: Consumer, headers: Mapping[str, str], delay: float) -> None:
        """Through the level above the delay back to the lane's queue alone."""
        levels = sorted({*LEVELS, *lane.backoff})
        level = next((level for level in levels if level >= delay), levels[-1])
        await self._move(message, level_name(level), lane.name, headers, delay)

    async def _move(
        self, message: Incoming, exchange: str, key: str, headers: Mapping[str, str], delay: float | None = None
    ) -> None:
        """Publish, then ack. What can't be published is kept: given back, it would look like another death."""
        delivered: Delivered = message.raw
        properties = persistent(message.message_id, headers, delay)
        while not delivered.channel.is_closed:
            try:
                await self._publisher.publish(Letter(exchange, key, message.body, properties), CONFIRM_TIMEOUT)
            except BusUnavailable as error:
                log.warning("delivery.unmoved", consumer=delivered.lane.name, to=key, reason=error.message)
                await asyncio.sleep(UNMOVED_PAUSE)
            else:
                await self.ack(message)
                return

    async def _return(self, message: Incoming, delay: float, *, fault: bool = True) -> None:
        """Put it back to its place in the queue. From 4.3 on only a reject counts as an attempt, before both do."""
        delivered: Delivered = message.raw
        await asyncio.sleep(delay)
        message.settled = True
        with taken_back(message):
            if fault:
                await delivered.channel.basic_reject(delivered.tag, requeue=True, wait=False)
            else:
                await delivered.channel.basic_nack(delivered.tag, requeue=True, wait=False)

    def _remember(self, lane: Consumer, message_id: str, begun: dict[str, str]) -> None:
        self._begun[lane.name, message_id] = begun
        if len(self._begun) > REMEMBERED:
            self._begun.popitem(last=False)


@contextlib.contextmanager
def taken_back(message: Incoming) -> Iterator[None]:
    """A delivery whose channel is gone was taken back by the server: there is nothing left to settle."""
    try:
        yield
    except ChannelInvalidStateError:
        log.info("delivery.taken_back", consumer=message.raw.lane.name, message_id=message.message_id)
