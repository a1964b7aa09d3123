"""Messages that nobody will handle any more on one bus, handed to another: confirmed there before they leave here."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from dataclasses import replace as changed
from functools import partial

from penstock.moving.left import lanes_of, left_on
from penstock.platform.errors import PlatformError
from penstock_common.errors import Fault, PenstockError
from penstock_common.messaging.addressing import addressed, again
from penstock_common.messaging.connect import connect_bus
from penstock_common.messaging.deadletter import CONSUMER, describe
from penstock_common.messaging.ports import Bus, Incoming, Outgoing, Subscription
from penstock_common.messaging.topology import BURIED, DEAD_LETTERS, Consumer

AT_ONCE = 64  # messages of one lane
EMPTY_LOOKS = 2
LOOK_EVERY = 1.0  # seconds; a message that is to be tried again is nowhere for a moment
PATIENCE = 60.0  # seconds without one message
PAUSE = 0.5


class NotCarried(PlatformError):
    """Messages stay on the former bus."""

    code = "cli.bus_not_emptied"
    fault = Fault.UNAVAILABLE


@dataclass
class Carrier:
    """On its way between two buses. One that is killed leaves nothing out: what it said twice has one id."""

    source: Bus
    target: Bus
    act: str
    carried: int = 0
    held: int = 0
    """Messages on their way: RabbitMQ does not count what somebody was given."""
    problem: str = ""
    moved_at: float = field(default_factory=time.monotonic)

    async def take(self, lane: Consumer, message: Incoming) -> None:
        """Hand over one message, or give it back; never raises."""
        self.held += 1
        try:
            await self.target.publish(readdressed(lane, message, self.act), timeout=10)
        except PenstockError as error:
            self.problem = describe(error)
            await asyncio.sleep(PAUSE)
            await self.source.settler.hand_back(message)
        else:
            await self.leave(message)
            self.carried += 1
            self.moved_at = time.monotonic()
        self.held -= 1

    async def leave(self, message: Incoming) -> None:
        """It is on the new bus: it need not stay on the former."""
        await self.source.settler.ack(message)


async def carry(source_url: str, target_url: str, act: str) -> int:
    """Carry until nothing is left; returns how many. Raises NotCarried, BusUnavailable, BusRefused."""
    source, target = [await connect_bus(url, "penstock-move") for url in (source_url, target_url)]
    carrier = Carrier(source, target, act)
    pulls: Sequence[Subscription] = ()
    try:
        if await left_on(source_url):
            pulls = await pulling(carrier)
        await until_empty(carrier, source_url)
    finally:
        await asyncio.gather(*(pull.stop() for pull in pulls))
        await source.close()
        await target.close()
    return carrier.carried


async def pulling(carrier: Carrier) -> Sequence[Subscription]:
    """Every lane that is there, received by the carrier."""
    lanes = lanes_of()
    missing = set(await carrier.source.missing(lanes))
    return [
        await carrier.source.pull(changed(lane, concurrency=AT_ONCE, batch=None), partial(carrier.take, lane))
        for lane in lanes
        if lane.name not in missing
    ]


async def until_empty(carrier: Carrier, url: str) -> None:
    """Look until nothing is left, more than once. Raises NotCarried where nothing moves any more."""
    empty = 0
    while empty < EMPTY_LOOKS:
        left = max(await left_on(url), carrier.held)
        empty = 0 if left else empty + 1
        if left and time.monotonic() - carrier.moved_at > PATIENCE:
            why = f": {carrier.problem}" if carrier.problem else ""
            raise NotCarried(f"{left} messages stay on the former bus, nothing moved for {PATIENCE:.0f} s{why}.")
        if left or empty < EMPTY_LOOKS:
            await asyncio.sleep(LOOK_EVERY)


def readdressed(lane: Consumer, message: Incoming, act: str) -> Outgoing:
    """A delivery as a message for the same lane elsewhere, and for no other consumer."""
    known = Outgoing(message.subject, lane.topic.stream, message.message_id, message.headers, message.body)
    if lane.is_main:  # one message may go to several lanes, and a bus takes each id once
        return addressed(known, lane, f"{act}.{lane.name}")
    is_dead = lane.topic.stream == DEAD_LETTERS.name
    subject = f"{BURIED}{message.headers[CONSUMER]}" if is_dead else lane.topic.subject
    return again(changed(known, subject=subject), act)
