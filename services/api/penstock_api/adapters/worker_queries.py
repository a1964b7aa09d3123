"""Questions to worker over the bus."""

from typing import TypeVar

from penstock_common.contracts.base import Contract, decode, encode
from penstock_common.errors import NoAnswer
from penstock_common.messaging.ports import Bus
from penstock_common.topology import PLATFORM

SECONDS = 3.0

R = TypeVar("R", bound=Contract)


async def ask_worker(bus: Bus, question: Contract, reply: type[R]) -> R:
    """What any process of worker answers. Raises BusUnavailable, NoAnswer."""
    topic = PLATFORM.topic(type(question))
    try:
        answer = await bus.query(topic, encode(question, topic.wire), SECONDS)
    except NoAnswer as error:
        raise NoAnswer(f"worker did not answer within {SECONDS:g} s; nothing is lost, ask again.") from error
    return decode(reply, answer, topic.wire)
