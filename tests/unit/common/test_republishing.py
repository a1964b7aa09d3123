"""A request that nobody knows any more is published again, whatever becomes of the bus; a crowd asks in turn."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from penstock_common.asking.pending import PendingQuestion
from penstock_common.asking.recovery import SUSPECTS_AT_ONCE, Recovery
from penstock_common.contracts.base import encode
from penstock_common.contracts.generation import GenerationState
from penstock_common.errors import BusUnavailable
from penstock_common.messaging.ports import Outgoing
from penstock_common.messaging.topology import Topic
from tests.support.generation_fakes import a_command, a_sealer


@dataclass
class Forgetful:
    """A bus on which nobody knows of the request."""

    request_id: UUID
    full: bool = False
    """Whether publishes are refused."""
    sent: list[str] = field(default_factory=list)

    async def broadcast(self, topic: Topic, body: bytes) -> None:
        """Nobody listens."""

    async def query(self, topic: Topic, body: bytes, timeout: float) -> bytes:
        """Inference has no row."""
        return encode(GenerationState(request_id=self.request_id, outcome="unknown"), topic.wire)

    async def publish(self, message: Outgoing, timeout: float = 2.0) -> None:
        """Raises BusUnavailable as told."""
        if self.full:
            raise BusUnavailable
        self.sent.append(message.message_id)


@pytest.fixture
async def pending(tmp_path: Path) -> PendingQuestion:
    """A request whose bus forgot it."""
    return PendingQuestion(a_command(a_sealer(tmp_path)))


async def looked(bus: Any, pending: PendingQuestion, times: int) -> int:
    """Ask for it so often; returns how often it was published by then."""
    recovery = Recovery("api-1", bus, lambda: [pending], lambda _: [pending])
    for _ in range(times):
        recovery.begin(pending)
        assert pending.recovering
        await pending.recovering
    return len(bus.sent)


async def test_a_refused_publication_is_repeated_at_the_next_look(pending: PendingQuestion) -> None:
    """The topology may not be there yet when it is due."""
    bus = Forgetful(pending.request_id, full=True)
    assert await looked(bus, pending, 3) == 0
    bus.full = False
    assert await looked(bus, pending, 1) == 1


async def test_it_is_published_again_less_and_less_often(pending: PendingQuestion) -> None:
    """At the second, fourth and eighth look: the bus may lose it more than once, and a long queue is not flooded."""
    bus = Forgetful(pending.request_id)
    assert [await looked(bus, pending, 1) for _ in range(9)] == [0, 1, 1, 2, 2, 2, 2, 3, 3]


@dataclass
class Silent(Forgetful):
    """A bus whose owners and rows never answer."""

    asked: int = 0
    connected: bool = True

    async def listen(self, topic: Topic, receive: Any) -> Any:
        """Nothing is heard."""
        return self

    async def stop(self) -> None:
        """End of a subscription."""

    async def broadcast(self, topic: Topic, body: bytes) -> None:
        """Count who asks, and keep them waiting."""
        self.asked += 1
        await asyncio.Event().wait()


async def test_thousands_that_fall_silent_together_are_asked_about_in_turn(tmp_path: Path) -> None:
    """So that whoever is late does not get the questions of all on top; each that is closed makes room for the next."""
    sealer = a_sealer(tmp_path)
    crowd = [PendingQuestion(a_command(sealer)) for _ in range(3 * SUSPECTS_AT_ONCE)]
    for pending in crowd:
        pending.check_at = 0.0
    bus = Silent(crowd[0].request_id)
    recovery = Recovery("api-1", bus, lambda: crowd, lambda _: crowd[:1])  # type: ignore[arg-type]
    await recovery.start()
    await until(lambda: bus.asked >= SUSPECTS_AT_ONCE)
    await asyncio.sleep(0.6)
    assert bus.asked == SUSPECTS_AT_ONCE
    closed = [pending for pending in crowd if pending.recovering][:50]
    for pending in closed:
        assert pending.recovering
        pending.recovering.cancel()
        crowd.remove(pending)
    await until(lambda: bus.asked >= SUSPECTS_AT_ONCE + 50)
    await asyncio.sleep(0.6)
    assert bus.asked == SUSPECTS_AT_ONCE + 50
    await recovery.stop()


async def until(condition: Callable[[], bool]) -> None:
    """Wait for it, five seconds at most."""
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.01)
