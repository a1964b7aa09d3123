"""What only RabbitMQ does: its limits, the letters it writes itself, consumers that it forgets."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import aiormq
import pytest
from aiormq.abc import AbstractChannel

from penstock_common.errors import BusUnavailable, MessageTooLarge, TopologyRefused
from penstock_common.messaging.connect import apply_topology
from penstock_common.messaging.deadletter import DeadLetter
from penstock_common.messaging.delivery import Delivery
from penstock_common.messaging.envelope import envelop
from penstock_common.messaging.ports import Incoming, Outgoing
from penstock_common.messaging.rabbit.bus import RabbitBus
from penstock_common.messaging.rabbit.pull import Pull
from penstock_common.messaging.rabbit.wire import incoming
from penstock_common.messaging.tasks import in_tasks
from penstock_common.messaging.topology import Consumer, Stream
from tests.integration.messaging.proxy import Proxy
from tests.integration.messaging.rig import until, until_async
from tests.integration.messaging.shop import ON_PAID, ON_SHIPPED, PAID, REFUND, SHIPPED, SHOP, Paid, Refund, Shipped

pytestmark = pytest.mark.integration

MIB = 1 << 20
SMALL = replace(SHOP, streams=(Stream("SHOP", 60, 2 * MIB, refuse_when_full=True), *SHOP.streams[1:]))


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[RabbitBus]:
    """A bus, closed afterwards."""
    bus = RabbitBus(url, "test")
    await bus.connect()
    try:
        yield bus
    finally:
        await bus.close()


@pytest.fixture
async def bus(rabbitmq_url: str) -> AsyncIterator[RabbitBus]:
    """A connection to a virtual host with the shop's topology, whose queues take 2 MiB."""
    await apply_topology(rabbitmq_url, SMALL)
    async with connected(rabbitmq_url) as made:
        yield made


@pytest.fixture
async def channel(rabbitmq_url: str) -> AsyncIterator[AbstractChannel]:
    """Another client's look."""
    async with aiormq.connect(rabbitmq_url) as connection:
        yield await connection.channel()


def big(size: int) -> Outgoing:
    """A message with a body of this many bytes."""
    return replace(envelop(Paid(id="x"), PAID), body=bytes(size))


async def fill(bus: RabbitBus) -> None:
    """Publish more than a queue takes."""
    for _ in range(20):
        await bus.publish(big(MIB))


async def give_back(message: Incoming) -> None:
    """As a process does that dies of it."""
    await message.raw.channel.basic_reject(message.raw.tag, requeue=True)


async def letter(channel: AbstractChannel, consumer: Consumer) -> DeadLetter:
    """The next dead letter, once there is one."""
    async with asyncio.timeout(10):
        while not (message := await channel.basic_get(consumer.dead_letters)).delivery_tag:
            await asyncio.sleep(0.05)
    read = incoming(message, consumer, 0.0)
    return DeadLetter.parse(read.headers, read.body)


async def test_a_full_queue_is_unavailable(bus: RabbitBus) -> None:
    """Accepted work is never dropped for newer work: its publisher is refused, and told why."""
    with pytest.raises(BusUnavailable, match="full"):
        await fill(bus)


async def test_a_message_over_the_limit_is_no_outage(bus: RabbitBus) -> None:
    """Trying again would not help, and the channel lives on."""
    with pytest.raises(MessageTooLarge):
        await bus.publish(big(20 * MIB))
    with pytest.raises(MessageTooLarge):
        bus.send("api-1", "k", bytes(20 * MIB))
    await bus.publish(big(1))


async def test_a_command_needs_its_queue_an_event_does_not(bus: RabbitBus, channel: AbstractChannel) -> None:
    """Nobody may want a fact; a command without its consumer would be accepted and lost."""
    await bus.publish(replace(big(1), subject="nobody.wants.this.v1"))
    await channel.queue_delete("shop-refund")
    with pytest.raises(BusUnavailable, match="penstock topology apply"):
        await bus.publish(envelop(Refund(id="r"), REFUND))


async def test_a_queue_that_differs_is_refused_with_what_to_do(rabbitmq_url: str, bus: RabbitBus) -> None:
    """Nothing is changed, nothing is deleted; the line says what differs."""
    with pytest.raises(TopologyRefused, match=r"queue shop-on-paid: x-max-length-bytes 2097152 → 268435456.*delete"):
        await apply_topology(rabbitmq_url, SHOP)
    assert await apply_topology(rabbitmq_url, SMALL) == []


async def test_what_the_server_gives_up_is_tried_alone_then_its_letter_can_be_read(
    bus: RabbitBus, channel: AbstractChannel
) -> None:
    """A message that ends its process before our code sees it, or its innocent neighbour: returned until the limit."""
    sent, quarantine = envelop(Paid(id="p"), PAID), ON_PAID.quarantine
    assert quarantine
    await bus.publish(sent)
    dying = [await bus.pull(lane, give_back) for lane in (ON_PAID, quarantine)]
    dead = await letter(channel, ON_PAID)
    assert (dead.message_id, dead.body, dead.subject) == (sent.message_id, sent.body, PAID.subject)
    assert (dead.consumer, dead.headers["content-type"]) == (ON_PAID.name, "application/json")
    assert f"delivery_limit of queue {quarantine.name}" in dead.reason
    assert dead.first_failed_at <= dead.last_failed_at
    await asyncio.gather(*(pull.stop() for pull in dying))


async def test_what_can_not_be_buried_is_kept_until_it_can(bus: RabbitBus, channel: AbstractChannel) -> None:
    """Neither lost nor tried again meanwhile, which would make a suspect of it."""
    delivery, attempts = Delivery(bus.settler), list[int]()

    async def fail(message: Incoming) -> None:
        attempts.append(message.attempt)
        raise MessageTooLarge

    async def deliver(message: Incoming) -> None:
        await delivery.run(fail, message, ON_PAID)

    await channel.queue_delete(ON_PAID.dead_letters)
    await bus.publish(envelop(Paid(id="p"), PAID))
    subscription = await bus.pull(ON_PAID, deliver)
    await until(lambda: attempts)
    await asyncio.sleep(1)
    await apply_topology(bus.url, SMALL)
    assert (await letter(channel, ON_PAID)).attempts == 1
    assert attempts == [1]
    await subscription.stop()


async def test_an_ordered_message_keeps_its_first_failure(bus: RabbitBus, channel: AbstractChannel) -> None:
    """It waits in place, where nothing can be written on it."""
    delivery, lane = Delivery(bus.settler), replace(ON_SHIPPED, max_attempts=3)

    async def fail(_: Incoming) -> None:
        raise BusUnavailable

    async def deliver(message: Incoming) -> None:
        await delivery.run(fail, message, lane)

    await bus.publish(envelop(Shipped(id="s"), SHIPPED))
    subscription = await bus.pull(lane, deliver)
    dead = await letter(channel, lane)
    assert dead.attempts == 3
    assert (dead.last_failed_at - dead.first_failed_at).total_seconds() > 0.3
    await subscription.stop()


async def test_a_consumer_that_the_server_forgot_is_made_anew(bus: RabbitBus) -> None:
    """Messages wait, and none comes, though all looks well."""
    received: list[str] = []

    async def deliver(message: Incoming) -> None:
        received.append(message.message_id)
        await bus.settler.ack(message)

    pull = Pull(bus.link, bus.pulse, ON_PAID, in_tasks(deliver), look_every=0.2)
    await pull.start()
    channel = pull.channel
    assert channel
    await channel.basic_cancel(next(iter(channel.consumers)))
    sent = envelop(Paid(id="p"), PAID)
    await bus.publish(sent)
    await until(lambda: received == [sent.message_id], 5)
    await pull.stop()


async def test_a_delivery_of_a_lost_connection_is_not_held(rabbitmq_url: str) -> None:
    """From then on another process may have it; settling it says nothing, and harms nobody."""
    await apply_topology(rabbitmq_url, SHOP)
    async with Proxy(rabbitmq_url) as proxy, connected(proxy.url) as bus:
        received: list[Incoming] = []

        async def keep(message: Incoming) -> None:
            received.append(message)

        await bus.pull(ON_PAID, keep)
        await bus.publish(envelop(Paid(id="p"), PAID))
        await until(lambda: received)
        assert bus.settler.holds(received[0])
        proxy.cut()
        await until(lambda: not bus.settler.holds(received[0]))
        await until(lambda: len(received) == 2 and bus.settler.holds(received[1]))
        await bus.settler.ack(received[0])
        assert (await bus.settler.opening(received[1], ON_PAID)) == (2, 1)


async def test_hand_backs_are_neither_attempts_nor_deaths(bus: RabbitBus) -> None:
    """A message that every stopping process gives back is no suspect."""
    received: list[tuple[int, int]] = []

    async def hand_back(message: Incoming) -> None:
        received.append(await bus.settler.opening(message, ON_PAID))
        await (bus.settler.hand_back(message, 0.1 * len(received)) if len(received) < 5 else bus.settler.ack(message))

    subscription = await bus.pull(ON_PAID, hand_back)
    await bus.publish(envelop(Paid(id="p"), PAID))
    await until(lambda: len(received) == 5)
    assert set(received) == {(1, 0)}
    await subscription.stop()


async def test_consumption_goes_on_where_the_broker_takes_nothing(bus: RabbitBus) -> None:
    """A full queue refuses what is published; what it holds is handled and acknowledged, and then there is room."""
    with pytest.raises(BusUnavailable):
        await fill(bus)
    subscription = await bus.pull(ON_PAID, bus.settler.ack)

    async def room() -> bool:
        try:
            await bus.publish(big(1))
        except BusUnavailable:
            return False
        return True

    await until_async(room)
    await subscription.stop()
