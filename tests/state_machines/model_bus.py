"""A bus that does with messages whatever a bus may do: keep twice, answer late or never, bring in any order, again."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from penstock_common.errors import BusUnavailable, Fault, PenstockError
from penstock_common.messaging.envelope import MESSAGE_ID
from penstock_common.messaging.ports import Incoming, Outgoing
from penstock_common.messaging.topology import Consumer


class Weather(StrEnum):
    """What becomes of messages that are published now."""

    FAIR = "fair"
    LOST = "lost"
    """They never arrive, and the publisher hears so."""
    UNHEARD = "unheard"
    """They arrive, and the publisher hears nothing of it."""
    DOUBLED = "doubled"
    """They arrive twice."""
    EVERY_OTHER = "every other"
    """One arrives, the next does not."""
    DEADLY = "deadly"
    """They arrive, and the publisher dies before it knows."""


class Died(PenstockError):
    """A process is no more."""

    code = "test.died"
    fault = Fault.UNAVAILABLE


@dataclass
class ModelBus:
    """Implements what relays and deliveries use of `Bus`; whoever walks delivers what it keeps."""

    weather: Weather = Weather.FAIR
    kept: list[Outgoing] = field(default_factory=list)
    """Everything that ever arrived, repeats included: any of it may be delivered at any time."""
    connected: bool = True
    _count: int = 0

    async def publish(self, message: Outgoing, timeout: float = 2.0) -> None:
        """As the weather is. Raises BusUnavailable, Died."""
        self._count += 1
        if self.weather is Weather.LOST or (self.weather is Weather.EVERY_OTHER and self._count % 2):
            raise BusUnavailable("lost")
        self.kept.append(message)
        if self.weather is Weather.DOUBLED:
            self.kept.append(message)
        if self.weather is Weather.UNHEARD:
            raise BusUnavailable("unheard")

    async def publish_all(self, messages: Sequence[Outgoing], timeout: float = 2.0) -> list[PenstockError | None]:
        """Each by itself. Raises Died."""
        found = [await self._published(message) for message in messages]
        if self.weather is Weather.DEADLY:
            raise Died
        return found

    async def _published(self, message: Outgoing) -> PenstockError | None:
        try:
            await self.publish(message)
        except PenstockError as error:
            return error
        return None


@dataclass
class ModelSettler:
    """Implements `Settler`: notes what became of deliveries, and dies before an acknowledgement where it is told to."""

    heartbeat: float | None = None
    dies: bool = False
    acked: list[str] = field(default_factory=list)
    buried: list[str] = field(default_factory=list)
    retried: list[str] = field(default_factory=list)

    def holds(self, message: Incoming) -> bool:
        """It does."""
        return True

    async def opening(self, message: Incoming, lane: Consumer) -> tuple[int, int]:
        """A first attempt each time."""
        return 1, 0

    async def ack(self, *messages: Incoming) -> None:
        """Raises Died as told: the effect is committed, and nobody knows."""
        if self.dies:
            raise Died
        self.acked += [message.message_id for message in messages]

    def extend(self, messages: Sequence[Incoming]) -> None:
        """Nothing has a time limit here."""

    async def retry(self, message: Incoming, lane: Consumer, delay: float, reason: str) -> None:
        """It stays where it is."""
        self.retried.append(message.message_id)

    async def hand_back(self, message: Incoming, delay: float = 0.0) -> None:
        """It stays where it is."""
        self.retried.append(message.message_id)

    async def quarantine(self, message: Incoming, lane: Consumer, attempts: int) -> None:
        """No delivery counts as a suspect here."""
        raise AssertionError("a first attempt is no suspect")

    async def bury(self, message: Incoming, lane: Consumer, attempts: int, reason: str) -> None:
        """It lies among the dead letters."""
        self.buried.append(message.message_id)


def delivery_of(message: Outgoing) -> Incoming:
    """A message as the buses bring it: known by the id that it had from the beginning."""
    return Incoming(message.subject, message.headers[MESSAGE_ID], message.headers, message.body, raw=None)
