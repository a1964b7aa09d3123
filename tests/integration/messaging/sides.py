"""What a test must do differently on each bus."""

from collections.abc import Sequence
from typing import Protocol

from penstock_common.messaging.deadletter import DeadLetter
from penstock_common.messaging.topology import Consumer, Topology
from tests.support.servers import Server


class Side(Protocol):
    """One bus with a server of its own."""

    deliveries_of_a_repeat: int
    """How often a message arrives that was published twice under one id."""
    frozen_within: float
    """Seconds until a frozen process's deliveries are taken over."""

    @property
    def server(self) -> Server:
        """Killed, frozen and started again by tests."""

    async def wipe(self, topology: Topology) -> None:
        """Delete all that a topology, or a variant of it, made on the server."""

    async def lose(self) -> None:
        """kill -9, and start again without what it kept."""

    async def letters(self, consumer: Consumer) -> Sequence[DeadLetter]:
        """A consumer's dead letters, left where they are."""

    async def remove(self, consumer: Consumer) -> None:
        """Delete a consumer behind the platform's back."""

    async def unsettled(self, consumer: Consumer) -> int:
        """Messages that wait, or are out with a process."""


def make_side(kind: str) -> Side:
    """The side of `nats` or `rabbitmq`, its server not yet started."""
    if kind == "nats":
        from tests.integration.messaging.nats_side import NatsSide  # noqa: PLC0415 (the other bus needn't be there)

        return NatsSide()
    from tests.integration.messaging.rabbit_side import RabbitSide  # noqa: PLC0415

    return RabbitSide()
