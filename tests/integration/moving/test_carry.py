"""What is left on a bus goes to another: to the same lanes, once, with its story; both ways."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from penstock.moving import carry as carrying
from penstock.moving.carry import NotCarried, carry
from penstock.moving.left import left_on
from penstock_common.contracts.catalogue import CatalogueChanged
from penstock_common.messaging.connect import apply_topology, connect_bus, make_inspector
from penstock_common.messaging.deadletter import REASON
from penstock_common.messaging.envelope import envelop
from penstock_common.messaging.ports import Bus, Incoming, Outgoing
from penstock_common.messaging.topology import Consumer
from penstock_common.topology import CATALOGUE_CHANGED, PLATFORM
from tests.support.emptied import delete_everything

pytestmark = pytest.mark.integration

API, BILLING = (PLATFORM.consumer(service, "on_catalogue_changed") for service in ("api", "billing"))
COLLECTOR = PLATFORM.collector
Settle = Callable[[Bus, Incoming], Awaitable[None]]


@pytest.fixture(params=["from NATS", "from RabbitMQ"])
async def ends(request: pytest.FixtureRequest, nats_url: str, rabbitmq_url: str) -> tuple[str, str]:
    """Both buses, laid out: the one to leave first."""
    for url in (nats_url, rabbitmq_url):
        await apply_topology(url, tell=False)
    return (nats_url, rabbitmq_url) if request.param == "from NATS" else (rabbitmq_url, nats_url)


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Bus]:
    """A connection of the test's own."""
    bus = await connect_bus(url, "trial")
    try:
        yield bus
    finally:
        await bus.close()


async def say(url: str, count: int) -> list[Outgoing]:
    """Events for two consumers."""
    said = [envelop(CatalogueChanged(version=n, models=[]), CATALOGUE_CHANGED) for n in range(count)]
    async with connected(url) as bus:
        assert await bus.publish_all(said) == [None] * count
    return said


async def receive(url: str, lane: Consumer, count: int, settle: Settle) -> list[Incoming]:
    """So many messages of a lane, each settled."""
    found: list[Incoming] = []
    async with connected(url) as bus:

        async def deliver(message: Incoming) -> None:
            if len(found) < count:
                found.append(message)
                await settle(bus, message)

        pull = await bus.pull(lane, deliver)
        async with asyncio.timeout(20):
            while len(found) < count:
                await asyncio.sleep(0.05)
        await asyncio.sleep(0.2)
        await pull.stop()
    return found


async def ack(bus: Bus, message: Incoming) -> None:
    """Handled."""
    await bus.settler.ack(message)


async def waiting(url: str) -> dict[str, int]:
    """Messages by lane."""
    lanes = (await make_inspector(url).look(PLATFORM)).lanes
    return {name: state.waiting for name, state in lanes.items() if state.waiting}


async def test_each_lane_gets_what_it_had_left(ends: tuple[str, str]) -> None:
    """Two events wait for two consumers, three more for one of them: each is given its own, as they were."""
    source, target = ends
    early = await say(source, 3)
    await receive(source, API, 3, ack)
    late = await say(source, 2)
    assert await carry(source, target, "act") == 7
    assert (await left_on(source), await waiting(target)) == (0, {API.name: 2, BILLING.name: 5})
    for lane, said in ((API, late), (BILLING, early + late)):
        found = await receive(target, lane, len(said), ack)
        assert {(m.subject, m.message_id, m.body) for m in found} == {(o.subject, o.message_id, o.body) for o in said}
    assert await left_on(target) == 0


async def test_a_retry_and_a_dead_letter_go_too(ends: tuple[str, str]) -> None:
    """One waits for its next attempt in no lane at all, the other for whoever collects dead letters."""
    source, target = ends
    await say(source, 2)
    await receive(source, API, 2, ack)

    async def refuse(bus: Bus, message: Incoming) -> None:
        message.attempt = 1
        refused.append(message)
        if len(refused) == 1:
            await bus.settler.retry(message, BILLING, 2.0, "later")
        else:
            await bus.settler.bury(message, BILLING, 1, "never")

    refused: list[Incoming] = []
    await receive(source, BILLING, 2, refuse)
    assert COLLECTOR
    assert await carry(source, target, "act") == 2
    assert await waiting(target) == {BILLING.name: 1, COLLECTOR.name: 1}
    (letter,) = await receive(target, COLLECTOR, 1, ack)
    assert (letter.message_id, letter.headers[REASON]) == (refused[1].message_id, "never")


async def test_who_is_broken_off_leaves_nothing_out(ends: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed between the word of the new bus and the word to the former: said again, under the same message id."""
    source, target = ends
    said = await say(source, 2)
    await receive(source, API, 2, ack)

    async def deaf(_self: carrying.Carrier, _message: Incoming) -> None:
        await asyncio.Event().wait()

    with monkeypatch.context() as patched:
        patched.setattr(carrying.Carrier, "leave", deaf)
        patched.setattr(carrying, "PATIENCE", 0.5)
        with pytest.raises(NotCarried, match="stay on the former bus"):
            await carry(source, target, "first")
    assert await carry(source, target, "second") == 2
    found = await receive(target, BILLING, 4, ack)
    assert sorted(m.message_id for m in found) == sorted(2 * [o.message_id for o in said])


async def test_what_the_new_bus_refuses_stays(ends: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Its lanes are gone: it is told, and nothing is lost."""
    source, target = ends
    await say(source, 1)
    await delete_everything(target)
    monkeypatch.setattr(carrying, "PATIENCE", 1.0)
    with pytest.raises(NotCarried):
        await carry(source, target, "act")
    assert await left_on(source) == 2
