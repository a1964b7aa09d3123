"""How much of a process the looks at the queue may take."""

import asyncio
from dataclasses import dataclass
from uuid import UUID

from penstock_common.clock import SystemClock
from penstock_common.contracts.generation import GenerateText
from penstock_common.contracts.stream import Failure
from penstock_inference.domain.ending import End
from penstock_inference.queueing.dispatcher import REST_SECONDS, Dispatcher, Needs
from penstock_inference.queueing.ports import Due, Sent, State


@dataclass
class SlowQueue:
    """Implements `Queue`: there is always more to send, and each look takes its time."""

    look_seconds: float
    looks: int = 0

    async def state(self) -> State:
        """Something waits."""
        return State(has_any=True, has_due=False, has_overdue=False)

    async def due(self) -> list[Due]:
        """Nothing must end."""
        raise AssertionError("nothing is due")

    async def remove(self, request_ids: list[UUID]) -> None:
        """Nothing was due."""

    async def overdue(self) -> list[GenerateText]:
        """Nothing takes too long."""
        raise AssertionError("nothing is overdue")

    async def dispatch(self, slots: int) -> Sent:
        """Send one, and have more."""
        self.looks += 1
        await asyncio.sleep(self.look_seconds)
        return Sent(ended=0, dispatched=1, running=1, waiting=1, may_send_more=True)


class Nobody:
    """Implements `Ends` and `Burial` where nothing ends and nothing is buried."""

    async def finish(self, end: End) -> bool:
        """Never asked."""
        raise AssertionError(end)

    async def bury(self, command: GenerateText, failure: Failure) -> None:
        """Never asked."""
        raise AssertionError(failure)


async def looks_within(seconds: float, queue: SlowQueue) -> int:
    """How many looks at a queue a dispatcher takes that is woken all the time."""
    dispatcher = Dispatcher(Needs(queue, Nobody(), Nobody(), SystemClock(), slots=1))
    dispatcher.start()
    dispatcher.wake()
    await asyncio.sleep(seconds)
    await dispatcher.stop()
    return queue.looks


async def test_slow_looks_leave_room() -> None:
    """Of a busy process or database they take a sixth at most."""
    look, seconds = 0.03, 0.6
    assert 1 <= await looks_within(seconds, SlowQueue(look)) <= 1 + seconds / (6 * look)


async def test_quick_looks_rest_too() -> None:
    """For long enough that what ends together is looked at together."""
    seconds = 0.4
    assert 1 <= await looks_within(seconds, SlowQueue(0.0)) <= 1 + seconds / REST_SECONDS
