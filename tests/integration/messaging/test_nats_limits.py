"""What only NATS does: its limits become errors that a caller can act on."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import nats
import pytest
from nats.errors import BadSubjectError
from nats.errors import TimeoutError as NatsTimeoutError
from nats.js import JetStreamContext

from penstock_common.errors import BusUnavailable, MessageTooLarge
from penstock_common.messaging.connect import apply_topology, connect_bus
from penstock_common.messaging.deadletter import DeadLetter
from penstock_common.messaging.envelope import envelop
from penstock_common.messaging.nats import connection
from penstock_common.messaging.nats.bus import NatsBus
from penstock_common.messaging.nats.client import LeanClient, Raw
from penstock_common.messaging.nats.protocol import command, head_of, headers_of
from penstock_common.messaging.ports import Bus, Incoming, Outgoing
from penstock_common.messaging.topology import Stream
from tests.integration.messaging.rig import until, until_async
from tests.integration.messaging.shop import ON_PAID, PAID, SHOP, Paid

pytestmark = pytest.mark.integration

MIB = 1 << 20


@pytest.fixture
async def bus(nats_url: str) -> AsyncIterator[Bus]:
    """A connection to a server with the shop's topology, whose stream takes 2 MiB and refuses what is more."""
    small = Stream("SHOP", max_age=60, max_bytes=2 * MIB, refuse_when_full=True)
    await apply_topology(nats_url, replace(SHOP, streams=(small, *SHOP.streams[1:])))
    made = await connect_bus(nats_url, "test")
    yield made
    await made.close()


def big(size: int) -> Outgoing:
    """A message with a body of this many bytes."""
    return replace(envelop(Paid(id="x"), PAID), body=bytes(size))


async def test_a_full_stream_is_unavailable(bus: Bus) -> None:
    """Accepted work is never dropped for newer work: its publisher is refused."""
    await bus.publish(big(MIB))
    with pytest.raises(BusUnavailable, match="maximum bytes exceeded"):
        await bus.publish(big(MIB))


async def test_a_message_over_the_limit_is_no_outage(bus: Bus) -> None:
    """Trying again would not help, and the connection lives on."""
    with pytest.raises(MessageTooLarge):
        await bus.publish(big(20 * MIB))
    await bus.publish(big(1))


async def test_a_stream_that_is_not_there_is_unavailable_at_once(bus: Bus) -> None:
    """With the command that makes it."""
    with pytest.raises(BusUnavailable, match="penstock topology apply"):
        await bus.publish(replace(big(1), subject="nobody.stores.this"))


async def test_a_message_never_lands_in_another_stream(bus: Bus) -> None:
    """The stream that the topology names is part of the message."""
    with pytest.raises(BusUnavailable, match="expected stream"):
        await bus.publish(replace(big(1), stream="DLQ"))


async def test_an_inbox_that_is_not_drained_refuses(bus: Bus) -> None:
    """What doesn't leave fast enough is refused before it is buffered without bound."""
    with pytest.raises(BusUnavailable, match="fast enough"):
        flood(bus, connection.PENDING_BYTES // MIB + 64)


async def test_only_what_is_surely_still_ours_is_extended(bus: Bus) -> None:
    """After a freeze it may be another's, whose time must not grow; its neighbours beat on."""
    assert isinstance(bus, NatsBus)
    received: list[Incoming] = []

    async def keep(message: Incoming) -> None:
        received.append(message)

    subscription = await bus.pull(ON_PAID, keep)
    await bus.publish_all([big(1), big(1)])
    await until(lambda: len(received) == 2)
    late, ours = received
    late.held_until = bus.connection.pulse.now() - 0.001
    before = late.held_until, ours.held_until
    await asyncio.sleep(0.3)
    bus.settler.extend(received)
    assert late.held_until == before[0]
    assert ours.held_until > before[1]
    await bus.settler.ack(*received)
    await subscription.stop()


async def test_a_subscription_that_failed_takes_nobody_elses_messages(nats_url: str) -> None:
    """Its number goes to the next one, whose messages are its own."""
    stolen: list[Raw] = []
    client = LeanClient()
    await client.connect(nats_url)
    with pytest.raises(BadSubjectError):
        await client.take("not a subject", stolen.append)
    next_one = await client.subscribe("some.subject")
    await client.publish("some.subject", b"x")
    assert (await next_one.next_msg(2)).data == b"x"
    assert stolen == []
    await client.close()


async def test_a_message_that_can_not_be_taken_ends_nothing(nats_url: str) -> None:
    """The ones behind it are read, with their headers, and none after the end of the subscription."""
    taken: list[Raw] = []

    def take(raw: Raw) -> None:
        taken.append(raw)
        if raw.body == b"bad":
            raise KeyError("bad")

    client = LeanClient()
    await client.connect(nats_url)
    subscription = await client.take("some.*", take)
    for body in (b"bad", b"good"):
        client.put(command("some.subject", "some", head_of({"A": "1"}), body))
    await until(lambda: len(taken) == 2)
    assert [(raw.subject, raw.reply, headers_of(raw.head), raw.body) for raw in taken] == [
        ("some.subject", "some", {"a": "1"}, body) for body in (b"bad", b"good")
    ]
    await subscription.unsubscribe()
    await client.publish("some.subject", b"late")
    await client.flush()
    assert len(taken) == 2
    await client.close()


def flood(bus: Bus, count: int) -> None:
    """Send megabytes without giving the loop a turn."""
    body = bytes(MIB)
    for _ in range(count):
        bus.send("api-1", "k", body)


async def test_what_the_server_gives_up_is_buried_once(bus: Bus, nats_url: str) -> None:
    """Naked by somebody who leaves no notes until no delivery is left; two processes watch."""
    sent = envelop(Paid(id="x"), PAID)
    await bus.publish(sent)
    async with await nats.connect(nats_url) as client:
        js = client.jetstream()
        subscription = await js.pull_subscribe_bind(ON_PAID.name, stream="SHOP")
        watches = [await bus.guard(SHOP), await bus.guard(SHOP)]
        for _ in range(ON_PAID.server_limit):
            await (await subscription.fetch(1))[0].nak()
        with pytest.raises(NatsTimeoutError):  # the server notices when it is asked for more
            await subscription.fetch(1, timeout=1)
        await until_async(lambda: buried(js))
        await asyncio.sleep(0.3)
        assert await buried(js) == 1
        raw = await js.get_last_msg("DLQ", ON_PAID.dead_letters)
    letter = DeadLetter.parse(raw.headers or {}, raw.data or b"")
    assert (letter.message_id, letter.body, letter.attempts) == (sent.message_id, sent.body, ON_PAID.server_limit)
    await asyncio.gather(*(watch.stop() for watch in watches))


async def buried(js: JetStreamContext) -> int:
    """How many dead letters there are."""
    return (await js.stream_info("DLQ")).state.messages
