"""The bus forgets everything under running processes: its store is deleted, or somebody deletes what it holds."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator, Sequence

import pytest

from penstock_common.errors import BusUnavailable, NoAnswer
from penstock_common.messaging.connect import keep_topology
from penstock_common.messaging.envelope import envelop
from penstock_common.messaging.rebuilding import LOOK_EVERY
from penstock_common.messaging.topology import Consumer
from tests.integration.messaging.rig import Rig, until, until_async
from tests.integration.messaging.shop import (
    FIND,
    ON_PACKED,
    ON_PAID,
    ON_PLACED,
    ON_RETURNED,
    PAID,
    REFUND,
    SAID,
    SHOP,
    Paid,
    Refund,
)

pytestmark = [pytest.mark.integration, pytest.mark.chaos]

LANES = (ON_PLACED, ON_PAID, ON_PACKED, ON_RETURNED)
SINGLE = pytest.mark.parametrize("lane", [ON_PLACED, ON_PAID], ids=["faststream", "plain"])
PICK_UP = 6.0
"""Seconds until a process receives from what was made anew."""
PATIENCE = 20.0
"""Seconds that a server may take which starts on a busy machine."""


@pytest.fixture
async def restored(rig: Rig) -> AsyncIterator[list[Sequence[str]]]:
    """What the topology's keeper made anew; it runs for the length of a test."""
    told: list[Sequence[str]] = []
    keeping = asyncio.create_task(keep_topology(rig.side.server.url, told.append, pytest.fail, SHOP))
    await asyncio.sleep(0.5)
    yield told
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)


@pytest.mark.parametrize("how", ["deleted", "restarted"])
async def test_an_emptied_bus_is_made_anew_and_work_goes_on(rig: Rig, how: str, restored: list[Sequence[str]]) -> None:
    """Nobody does anything: each lane of a running process handles what is sent, soon after the topology is back."""
    service = await rig.start()
    for lane in LANES:
        await rig.send(lane.topic)
    await until(lambda: len(rig.seen("done")) == len(LANES))
    await (rig.side.wipe(SHOP) if how == "deleted" else rig.side.lose())
    back = time.monotonic()
    await until(lambda: restored, LOOK_EVERY + PATIENCE)
    made = time.monotonic()
    ids = [await rig.send(lane.topic) for lane in LANES]
    await until(lambda: set(ids) <= set(rig.seen("done")))
    picked_up = max(rig.times("done", id_)[0] for id_ in ids) - time.time() + time.monotonic() - made
    print(f"{rig.side.server.kind.name}, {how}: made anew after {made - back:.1f} s, received {picked_up:.1f} s later")
    assert picked_up < PICK_UP
    assert all(any(lane.name in change for change in restored[0]) for lane in LANES)
    assert sorted(rig.seen("start")) == sorted(rig.seen("done"))
    assert service.exitcode is None


async def test_what_is_there_is_left_alone(rig: Rig, restored: list[Sequence[str]]) -> None:
    """The keeper looks, and changes nothing where nothing is missing."""
    await rig.send(PAID)
    await asyncio.sleep(LOOK_EVERY + 0.5)
    assert restored == []
    assert await rig.side.unsettled(ON_PAID) == 1


async def test_publishing_to_an_emptied_bus_fails_soon(rig: Rig) -> None:
    """What nobody would store is refused at once, and taken as soon as the topology is there."""
    await rig.side.wipe(SHOP)
    message = envelop(Paid(id="p1"), PAID)
    if rig.side.server.kind.name == "nats":  # an event may have no queue on RabbitMQ, a command may not
        with pytest.raises(BusUnavailable, match="penstock topology apply"):
            await rig.bus.publish(message)
    began = time.monotonic()
    with pytest.raises(BusUnavailable, match="penstock topology apply"):
        await rig.bus.publish(envelop(Refund(id="r1"), REFUND))
    assert time.monotonic() - began < 3
    await rig.apply()
    await rig.bus.publish(message)


@SINGLE
async def test_a_word_for_a_lost_delivery_settles_nothing_else(rig: Rig, lane: Consumer) -> None:
    """A handler outlives the bus that gave it its message; its ack must not take the first message of the new one."""
    await asyncio.gather(rig.start(), rig.start())
    old = await rig.send(lane.topic, "sleep:8")
    await rig.begun(old)
    await rig.side.wipe(SHOP)
    await rig.apply()
    new = await rig.send(lane.topic, "sleep:20")
    holder = await rig.begun(new)
    await until(lambda: rig.seen("done") == [old])
    await asyncio.sleep(0.5)
    assert holder.pid
    os.kill(holder.pid, signal.SIGKILL)
    await until(lambda: rig.seen("start").count(new) == 2, PATIENCE)


async def test_what_was_open_is_open_again_once_the_topology_is(rig: Rig, restored: list[Sequence[str]]) -> None:
    """Inbox, queries and broadcasts of a process, after the server came back with nothing."""
    other, heard, frames = await rig.connection(), list[bytes](), list[bytes]()

    async def listener(body: bytes) -> None:
        heard.append(body)

    async def answer(body: bytes) -> bytes:
        return body

    await other.receive("api-1", lambda _, body: frames.append(body))
    await other.listen(SAID, listener)
    await other.answer(FIND, answer)
    await rig.side.lose()
    await until(lambda: restored, LOOK_EVERY + PATIENCE)

    async def told() -> bool:
        with contextlib.suppress(BusUnavailable, NoAnswer):
            await rig.bus.broadcast(SAID, b"hello")
            rig.bus.send("api-1", "k", b"frame")
            return await rig.bus.query(FIND, b"?", timeout=0.5) == b"?"
        return False

    took = await until_async(told, PATIENCE)
    await until(lambda: bool(heard and frames), PATIENCE)
    print(f"{rig.side.server.kind.name}: told again after {took:.1f} s")
