"""Questions to worker over the bus."""

from typing import TypeVar

from penstock_api.adapters.asking import ask_owner
from penstock_common.contracts.base import Contract
from penstock_common.messaging.ports import Bus

SECONDS = 3.0

R = TypeVar("R", bound=Contract)


async def ask_worker(bus: Bus, question: Contract, reply: type[R]) -> R:
    """What any process of worker answers. Raises BusUnavailable, NoAnswer."""
    return await ask_owner(bus, question, reply, SECONDS)
