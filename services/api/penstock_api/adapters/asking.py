"""Questions over the bus to the service that knows."""

from typing import TypeVar

from penstock_common.contracts.base import Contract, decode, encode
from penstock_common.errors import NoAnswer
from penstock_common.messaging.ports import Bus
from penstock_common.topology import PLATFORM

R = TypeVar("R", bound=Contract)


async def ask_owner(bus: Bus, question: Contract, reply: type[R], seconds: float) -> R:
    """What any process of the service that owns the question answers. Raises BusUnavailable, NoAnswer."""
    topic = PLATFORM.topic(type(question))
    try:
        answer = await bus.query(topic, encode(question, topic.wire), seconds)
    except NoAnswer as error:
        raise NoAnswer(f"{topic.owner} did not answer within {seconds:g} s; nothing is lost, ask again.") from error
    return decode(reply, answer, topic.wire)
