"""One consumer of a topic can be addressed: it alone receives, and its rules hold as for any other message."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import aiormq
import nats
import pytest
from nats.js import api

from penstock_common.ids import uuid7
from penstock_common.messaging.addressing import addressed
from penstock_common.messaging.connect import apply_topology, connect_bus, diff_topology
from penstock_common.messaging.envelope import MESSAGE_ID, envelop
from penstock_common.messaging.nats.declared import declared as on_nats
from penstock_common.messaging.nats.topology import first_sequence
from penstock_common.messaging.ports import Bus, Incoming, Outgoing
from penstock_common.messaging.rabbit.wire import EVENTS
from penstock_common.messaging.replayed import effects_allowed, marked
from penstock_common.messaging.router import Router
from penstock_common.messaging.runtime import Runtime
from penstock_common.messaging.topology import DEAD_LETTERS, QUARANTINE, Batch, Consumer, Runner, Stream, Topology
from tests.integration.messaging.rig import Rig, until, until_async
from tests.integration.messaging.shop import (
    ON_PACKED,
    ON_PAID,
    ON_PLACED,
    ON_RETURNED,
    ON_SHIPPED,
    PACKED,
    PAID,
    PLACED,
    Order,
    Packed,
    Paid,
    Placed,
)

pytestmark = pytest.mark.integration

BOOKING = Consumer("books", "on_placed", PLACED, ordered=True, concurrency=1, runner=Runner.PLAIN)
PACKING = Consumer("depot", "on_placed", PLACED, runner=Runner.PLAIN)
TWO = Topology(
    streams=(Stream("SHOP", max_age=3600, max_bytes=1 << 24), QUARANTINE, DEAD_LETTERS),
    topics=(PLACED, PACKED),
    consumers=(
        BOOKING,
        PACKING,
        Consumer("depot", "on_packed", PACKED, runner=Runner.PLAIN, batch=Batch(8, within_ms=200)),
    ),
)


def order(lane: Consumer, do: str = "ok") -> Outgoing:
    """A message of a lane's topic, with a new id."""
    id_ = str(uuid7())
    assert issubclass(lane.topic.contract, Order)
    return envelop(lane.topic.contract(id=id_, do=do), lane.topic, message_id=id_)


class Heard:
    """What two consumers of one topic received, on the plain client."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.held: list[Incoming] = []
        self.ids: dict[str, list[str]] = {lane.name: [] for lane in TWO.consumers}

    @asynccontextmanager
    async def hearing(self, *lanes: Consumer) -> AsyncIterator[None]:
        """Acknowledge all that comes, until the end of the block."""

        def taking(lane: Consumer) -> object:
            async def deliver(message: Incoming) -> None:
                assert message.subject == lane.topic.subject
                self.ids[lane.name].append(message.headers[MESSAGE_ID])
                await self.bus.settler.ack(message)

            return deliver

        pulls = [await self.bus.pull(lane, taking(lane)) for lane in lanes]  # type: ignore[arg-type]
        yield
        for pull in pulls:
            await pull.stop()


@pytest.fixture
async def bus(bus_url: str) -> AsyncIterator[Bus]:
    """A bus with two consumers of one topic."""
    await apply_topology(bus_url, TWO)
    made = await connect_bus(bus_url, "test")
    yield made
    await made.close()


async def test_one_of_two_consumers_alone_receives_it_and_sees_its_own_id(bus: Bus) -> None:
    """The bus takes it although it has just stored the first under the same `ce-id`; a repeat of the act is one."""
    heard, first = Heard(bus), order(PACKING)
    await bus.publish(first)
    again = addressed(first, PACKING, "act-1")
    assert again.message_id != first.message_id
    async with heard.hearing(BOOKING, PACKING):
        await bus.publish(again)
        await until(lambda: len(heard.ids[PACKING.name]) >= 2)
        last = order(BOOKING)
        await bus.publish(last)
        await until(lambda: last.message_id in heard.ids[BOOKING.name] and last.message_id in heard.ids[PACKING.name])
    assert heard.ids[BOOKING.name] == [first.message_id, last.message_id]
    assert sorted(heard.ids[PACKING.name]) == sorted([first.message_id, first.message_id, last.message_id])


async def test_a_batch_with_replayed_messages_is_handled_apart(bus: Bus) -> None:
    """What is said again has no outside effects, its neighbours of the same moment have theirs."""
    router, taken = Router("depot"), list[tuple[bool, set[str]]]()

    @router.on(Placed)
    async def on_placed(message: Placed, deps: None) -> None:
        taken.append((effects_allowed(), {message.id}))

    @router.on_batch(Packed, size=8, within_ms=200)
    async def on_packed(messages: Sequence[Packed], deps: None) -> None:
        taken.append((effects_allowed(), {message.id for message in messages}))

    runtime = Runtime(bus, TWO, router, None)
    lane = TWO.consumer("depot", "on_packed")
    live, again, allowed = order(lane), order(lane), order(lane)
    await bus.publish_all([live, marked(again, "act-1"), marked(allowed, "act-2", effects=True)])
    await runtime.start()
    await until(lambda: sum(len(ids) for _, ids in taken) == 3)
    await runtime.stop()
    assert {id_ for may, ids in taken for id_ in ids if may} == {live.message_id, allowed.message_id}
    assert {id_ for may, ids in taken for id_ in ids if not may} == {again.message_id}


async def test_a_running_bus_of_the_former_layout_is_brought_up_in_place(bus_url: str) -> None:
    """What waits and what is out with a process stays as it is; afterwards one consumer can be addressed."""
    await lay_out_as_before(bus_url)
    bus = await connect_bus(bus_url, "test")
    heard = Heard(bus)
    out: list[Incoming] = []

    async def keep(message: Incoming) -> None:
        out.append(message)

    first, waiting = order(BOOKING), [order(BOOKING) for _ in range(20)]
    pull = await bus.pull(BOOKING, keep)
    await bus.publish_all([first, *waiting])
    await until(lambda: out)
    await pull.stop()
    await apply_topology(bus_url, TWO)
    assert await diff_topology(bus_url, TWO) == []
    await bus.settler.ack(*out)
    assert [message.message_id for message in out] == [first.message_id]
    again = addressed(first, BOOKING, "act-1")
    await bus.publish(again)
    async with heard.hearing(BOOKING, PACKING):
        await until(lambda: len(heard.ids[PACKING.name]) == 21)
        await until(lambda: first.message_id in heard.ids[BOOKING.name])
    ids = [message.message_id for message in waiting]
    assert heard.ids[BOOKING.name] == [*ids, first.message_id]
    assert set(heard.ids[PACKING.name]) == {first.message_id, *ids}
    await bus.close()


async def lay_out_as_before(url: str) -> None:
    """As the job did before consumers had addresses."""
    if url.startswith("amqp"):
        await apply_topology(url, TWO)
        async with aiormq.connect(url) as connection:
            channel = await connection.channel()
            for lane in TWO.consumers:
                await channel.queue_unbind(lane.name, EVENTS, lane.address)
        return
    client = await nats.connect(url)
    js = client.jetstream()
    filters = {lane.name: lane.topic.subject for lane in TWO.lanes}
    for thing in on_nats(TWO, 1):
        settings = {name: value for name, value in thing.settings.items() if name != "filter_subjects"}
        if thing.consumer:
            own = {"filter_subject": filters[thing.consumer]} if thing.consumer in filters else {}
            await js.add_consumer(thing.stream, api.ConsumerConfig(durable_name=thing.consumer, **{**settings, **own}))
        else:
            settings["subjects"] = [name for name in settings["subjects"] if not name.startswith("only.")]
            await js.add_stream(api.StreamConfig(name=thing.stream, first_seq=first_sequence(), **settings))
    await client.close()


async def test_every_kind_of_lane_handles_what_is_addressed_to_it(rig: Rig) -> None:
    """Beside what comes by its topic: by either runner, in batches, in order."""
    lanes = (ON_PLACED, ON_PAID, ON_PACKED, ON_SHIPPED, ON_RETURNED)
    usual, alone = [order(lane) for lane in lanes], [order(lane) for lane in lanes]
    await rig.bus.publish_all(usual)
    await rig.bus.publish_all([addressed(one, lane, "act-1") for one, lane in zip(alone, lanes, strict=True)])
    await rig.start()
    sent = sorted(one.message_id for one in (*usual, *alone))
    await until(lambda: sorted(rig.seen("done")) == sent)


@pytest.mark.parametrize("lane", [ON_PLACED, ON_PACKED], ids=["faststream", "batch"])
async def test_an_addressed_message_that_fails_is_buried_with_its_own_story(rig: Rig, lane: Consumer) -> None:
    """It has all its attempts, whatever its earlier life cost, and names the topic that it came from."""
    await rig.start()
    failing = order(lane, "unavailable")
    told = replace(failing, headers={**failing.headers, "dlq-attempts": "3", "dlq-subject": "elsewhere"})
    await rig.bus.publish(addressed(told, lane, "act-1"))
    [letter] = await rig.letters(lane, within=15)
    assert (letter.message_id, letter.subject, letter.attempts) == (failing.message_id, lane.topic.subject, 3)
    assert rig.seen("start") == [failing.message_id] * lane.max_attempts


@pytest.mark.chaos
async def test_an_addressed_message_that_kills_its_process_ends_in_quarantine(rig: Rig) -> None:
    """It is tried alone, its neighbours are not touched, and its letter can be addressed again."""
    poison, good = order(ON_PAID, "kill"), Paid(id="g")
    process = await rig.start()
    await rig.bus.publish(addressed(poison, ON_PAID, "act-1"))
    async with asyncio.timeout(60):
        while not (letters := await rig.letters(ON_PAID)):
            if process.exitcode is not None:
                process = await rig.spawn()
            await asyncio.sleep(0.1)
    assert [(one.message_id, one.subject) for one in letters] == [(poison.message_id, PAID.subject)]
    if process.exitcode is not None:
        await rig.start()
    await rig.bus.publish(addressed(envelop(good, PAID, message_id=str(uuid7())), ON_PAID, "act-2"))
    await until(lambda: "g" in rig.seen("done"))
    quarantine = ON_PAID.quarantine
    assert quarantine

    async def empty() -> bool:
        return await rig.side.unsettled(ON_PAID) + await rig.side.unsettled(quarantine) == 0

    await until_async(empty)


def test_a_lane_that_belongs_to_another_has_no_address() -> None:
    """Asked for, it is refused by name."""
    quarantine = ON_PAID.quarantine
    assert quarantine
    with pytest.raises(ValueError, match="shop-on-paid-quarantine can't be addressed, shop-on-paid can"):
        addressed(order(ON_PAID), quarantine, "act")
