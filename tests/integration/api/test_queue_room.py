"""What api remembers of the queue's room, with an owner of the queue that answers when it is let."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from penstock_api.adapters import queue_room
from penstock_api.adapters.queue_room import QueueRoom
from penstock_common.contracts.base import encode
from penstock_common.contracts.queueing import QueueReport
from penstock_common.messaging.connect import apply_topology, make_bus
from penstock_common.messaging.ports import Bus
from penstock_common.topology import READ_QUEUE

pytestmark = pytest.mark.integration

TENANT = UUID(int=7)
STALE = queue_room.FRESH_SECONDS + 0.1


class Owner:
    """Answers questions about the queue with the room there is, at once or when it is let."""

    def __init__(self) -> None:
        self.room = 3
        self.asked = 0
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def answer(self, _: bytes) -> bytes:
        """The answer to any question."""
        self.asked += 1
        await self.may_answer.wait()
        report = QueueReport(position=10 * self.asked, waiting=0, tenant_waiting=0, room=self.room)
        return encode(report)


@pytest.fixture
async def bus(bus_url: str) -> AsyncIterator[Bus]:
    """A connected bus, laid out."""
    await apply_topology(bus_url)
    bus = make_bus(bus_url, "test")
    await bus.connect()
    yield bus
    await bus.close()


@pytest.fixture
async def owner(bus: Bus) -> AsyncIterator[Owner]:
    """Who answers."""
    owner = Owner()
    subscription = await bus.answer(READ_QUEUE, owner.answer)
    yield owner
    owner.may_answer.set()
    await subscription.stop()


async def place(rooms: QueueRoom) -> int:
    """Where a request of the tenant would stand, by the report that it was given."""
    report, taken = await rooms.take(TENANT)
    assert report
    return report.position + taken


async def test_one_question_serves_all(bus: Bus, owner: Owner) -> None:
    """Within a second, and whoever comes while it is under way."""
    rooms = QueueRoom(bus)
    assert sorted(await asyncio.gather(*(place(rooms) for _ in range(3)))) == [10, 11, 12]
    assert await place(rooms) == 13
    assert owner.asked == 1


async def test_nobody_waits_for_a_newer_answer(bus: Bus, owner: Owner) -> None:
    """While an owner is slow to answer anew, what it said before counts."""
    rooms = QueueRoom(bus)
    await place(rooms)
    await asyncio.sleep(STALE)
    owner.may_answer.clear()
    async with asyncio.timeout(queue_room.ASK_SECONDS / 2):
        assert await place(rooms) == 11
    owner.may_answer.set()
    await asyncio.sleep(0.1)
    assert await place(rooms) == 21, "the newer answer, and the one that was taken since it was asked for"


async def test_only_a_new_answer_refuses(bus: Bus, owner: Owner) -> None:
    """Whom an older one has no room for waits for the newer one; nothing is taken twice from it."""
    rooms = QueueRoom(bus)
    for _ in range(owner.room):
        await place(rooms)
    await asyncio.sleep(STALE)
    assert await place(rooms) == 20


async def test_an_old_answer_is_waited_for_anew(bus: Bus, owner: Owner) -> None:
    """After two seconds what was said says nothing."""
    rooms = QueueRoom(bus)
    await place(rooms)
    await asyncio.sleep(queue_room.KEPT_SECONDS + 0.1)
    assert await place(rooms) == 20


async def test_an_owner_that_does_not_answer_holds_up_nobody_twice(bus: Bus, owner: Owner) -> None:
    """The first waits as long as an answer may take; who comes next goes without, and a second later as well."""
    rooms = QueueRoom(bus)
    owner.may_answer.clear()
    assert await rooms.take(TENANT) == (None, 0)
    await asyncio.sleep(STALE - queue_room.ASK_SECONDS)
    async with asyncio.timeout(queue_room.ASK_SECONDS / 2):
        assert (await rooms.take(TENANT))[0] is None
