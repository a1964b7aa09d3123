"""Queries over the bus: those that worker asks, and those that it answers."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from penstock_common.contracts.base import Contract, decode, encode
from penstock_common.contracts.runs import ListRuns, ReadRun, ReadTasks
from penstock_common.messaging.ports import Bus, Subscription
from penstock_common.messaging.topology import Topic
from penstock_common.topology import LIST_RUNS, PLATFORM, READ_RUN, READ_TASKS
from penstock_worker.adapters.shown import Shown

Q = TypeVar("Q", bound=Contract)
R = TypeVar("R", bound=Contract)


class BusQueries:
    """Implements `Queries`."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus

    async def ask(self, question: Contract, reply: type[R], seconds: float) -> R:
        """See `Queries`."""
        topic = PLATFORM.topic(type(question))
        return decode(reply, await self.bus.query(topic, encode(question, topic.wire), seconds), topic.wire)


async def answer_queries(bus: Bus, shown: Shown) -> list[Subscription]:
    """Answer what others ask of worker. Raises BusUnavailable."""
    return [
        await bus.answer(READ_RUN, _answer(READ_RUN, ReadRun, shown.run)),
        await bus.answer(LIST_RUNS, _answer(LIST_RUNS, ListRuns, shown.runs)),
        await bus.answer(READ_TASKS, _answer(READ_TASKS, ReadTasks, shown.tasks)),
    ]


def _answer(
    topic: Topic, contract: type[Q], read: Callable[[Q], Awaitable[Contract]]
) -> Callable[[bytes], Awaitable[bytes]]:
    async def answer(body: bytes) -> bytes:
        return encode(await read(decode(contract, body, topic.wire)), topic.wire)

    return answer
