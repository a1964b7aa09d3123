"""Deliveries without a bus: how each one was settled is kept in memory."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from penstock_common.contracts.base import Contract
from penstock_common.messaging.envelope import envelop
from penstock_common.messaging.ports import Incoming
from penstock_common.messaging.topology import Consumer
from penstock_common.topology import PLATFORM


@dataclass
class MemorySettler:
    """Implements `Settler`; a retry is never delivered again by itself."""

    heartbeat: float | None = None
    acked: list[str] = field(default_factory=list)
    retried: dict[str, str] = field(default_factory=dict)
    buried: dict[str, str] = field(default_factory=dict)

    def holds(self, message: Incoming) -> bool:
        return True

    async def opening(self, message: Incoming, lane: Consumer) -> tuple[int, int]:
        return 1, 0

    async def ack(self, *messages: Incoming) -> None:
        self.acked += [message.message_id for message in messages]

    def extend(self, messages: Sequence[Incoming]) -> None:
        raise AssertionError("beats are not asked for")

    async def retry(self, message: Incoming, lane: Consumer, delay: float, reason: str) -> None:
        self.retried[message.message_id] = reason

    async def hand_back(self, message: Incoming, delay: float = 0.0) -> None:
        self.retried[message.message_id] = "handed back"

    async def quarantine(self, message: Incoming, lane: Consumer, attempts: int) -> None:
        raise AssertionError("no delivery dies here")

    async def bury(self, message: Incoming, lane: Consumer, attempts: int, reason: str) -> None:
        self.buried[message.message_id] = reason


def delivered(message: Contract, message_id: str = "", headers: Mapping[str, str] | None = None) -> Incoming:
    """A contract as a bus brings it."""
    out = envelop(message, PLATFORM.topic(type(message)), message_id=message_id)
    return Incoming(out.subject, out.message_id, {**out.headers, **(headers or {})}, out.body, raw=None)
