"""The server dies, the network cuts, an acknowledgement is lost."""

import asyncio
import time

import pytest

from penstock_common.errors import BusUnavailable
from penstock_common.messaging.envelope import envelop
from penstock_common.messaging.topology import Consumer
from tests.integration.messaging.proxy import Proxy
from tests.integration.messaging.rig import Rig, until, until_async
from tests.integration.messaging.shop import ON_PACKED, ON_PAID, ON_PLACED, PAID, Paid

pytestmark = [pytest.mark.integration, pytest.mark.chaos]

EVERY = pytest.mark.parametrize("lane", [ON_PLACED, ON_PAID, ON_PACKED], ids=["faststream", "plain", "batch"])
SINGLE = pytest.mark.parametrize("lane", [ON_PLACED, ON_PAID], ids=["faststream", "plain"])


async def test_nothing_confirmed_is_lost_when_the_server_is_killed(rig: Rig) -> None:
    """kill -9 during confirmed publishes and consumption on every lane; all is handled, soon after its return."""
    service = await rig.start()
    lanes = (ON_PLACED, ON_PAID, ON_PACKED)
    sending = [asyncio.create_task(rig.send_many(lane.topic, 150, "sleep:0.01")) for lane in lanes]
    await until(lambda: len(rig.seen("done")) > 30)
    await rig.restart_server()
    back = time.monotonic()
    ids = {id_ for sent in await asyncio.gather(*sending) for id_ in sent}
    await until(lambda: ids <= set(rig.seen("done")), 30)
    resumed = next(float(at) for at, _, what, _ in reversed(rig.lines()) if what == "done")
    assert service.exitcode is None
    assert time.monotonic() - back < 20
    assert resumed
    assert not [letter for lane in lanes for letter in await rig.letters(lane)]


@EVERY
async def test_an_idle_consumer_is_back_soon_after_the_server(rig: Rig, lane: Consumer) -> None:
    """The first message after a restart is handled within 5 s of the server's return."""
    await rig.start()
    await rig.restart_server()
    back = time.monotonic()
    id_ = await rig.send(lane.topic)
    await until(lambda: id_ in rig.seen("done"))
    assert time.monotonic() - back < 5


async def test_publishing_while_disconnected_fails_soon_and_works_later(rig: Rig) -> None:
    """No waiting, no buffering: the caller is told within 2 s, and may repeat under the same id."""
    await asyncio.to_thread(rig.side.server.kill)
    message = envelop(Paid(id="p1"), PAID)
    for pause in (0.0, 1.0):
        await asyncio.sleep(pause)
        began = time.monotonic()
        with pytest.raises(BusUnavailable):
            await rig.bus.publish(message)
        with pytest.raises(BusUnavailable):
            rig.bus.send("api-1", "k", b"lost")
        assert time.monotonic() - began < 2.2
    assert not rig.bus.connected
    await asyncio.to_thread(rig.side.server.start)
    await until(lambda: rig.bus.connected, 5)
    await rig.bus.publish(message)
    assert await rig.side.unsettled(ON_PAID) == 1


async def test_a_frozen_server_is_an_unavailable_one(rig: Rig) -> None:
    """A server that keeps its connections and says nothing holds nobody up."""
    rig.side.server.freeze()
    began = time.monotonic()
    try:
        with pytest.raises(BusUnavailable):
            await rig.bus.publish(envelop(Paid(id="p1"), PAID), timeout=1.0)
        assert time.monotonic() - began < 2
    finally:
        rig.side.server.thaw()


@SINGLE
async def test_a_lost_acknowledgement_means_delivery_again(rig: Rig, lane: Consumer) -> None:
    """The handler ends, its word never reaches the server, the connection breaks: the message comes again."""
    async with Proxy(rig.side.server.url) as proxy:
        await rig.start(url=proxy.url)
        id_ = await rig.send(lane.topic, "sleep:0.5")
        await until(lambda: rig.seen("start") == [id_])
        proxy.deaf = True
        await until(lambda: rig.seen("done") == [id_])
        await asyncio.sleep(0.2)
        proxy.cut()
        await until(lambda: rig.seen("done") == [id_, id_])

        async def settled() -> bool:
            return await rig.side.unsettled(lane) == 0

        await until_async(settled)


@EVERY
async def test_a_consumer_that_vanished_is_found_again(rig: Rig, lane: Consumer) -> None:
    """Deleted behind the service's back and applied anew, it is received from again without a restart."""
    service = await rig.start()
    await rig.side.remove(lane)
    await asyncio.sleep(1)
    await rig.apply()
    id_ = await rig.send(lane.topic)
    await until(lambda: id_ in rig.seen("done"))
    assert service.exitcode is None
