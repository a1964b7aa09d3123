"""What can be seen of a bus from outside: who receives, what waits, what lies among the dead letters."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from penstock_common.errors import Fault, PenstockError
from penstock_common.messaging.topology import Topology


class BusRefused(PenstockError):
    """The message bus does not know this user, or takes another password."""

    code = "common.bus_refused"
    fault = Fault.FORBIDDEN


@dataclass(frozen=True, slots=True)
class LaneState:
    """One durable subscription at one moment."""

    waiting: int
    """Messages that nobody was given yet."""
    unfinished: int = 0
    """Messages that somebody was given and did not settle; 0 where the bus does not tell."""
    receivers: int = 0
    """Who asks for more: open pulls on NATS, consumers on RabbitMQ."""
    settled: int | None = None
    """Grows with each message that is settled; None where the bus does not tell."""

    def is_stuck(self, earlier: "LaneState") -> bool:
        """Whether messages waited, or nobody was there for the unfinished ones, and nothing was settled in between."""
        if not (self._needs_help and earlier._needs_help):
            return False
        if self.settled is not None:
            return self.settled == earlier.settled
        return self.waiting >= earlier.waiting

    @property
    def _needs_help(self) -> bool:
        return bool(self.waiting or (self.unfinished and not self.receivers))


@dataclass(frozen=True, slots=True)
class BusState:
    """A whole bus at one moment."""

    lanes: Mapping[str, LaneState] = field(default_factory=dict)
    """By name; without those that the server does not have."""
    dead_letters: Mapping[str, int] = field(default_factory=dict)
    """Messages by consumer; only where there are some."""
    missing: tuple[str, ...] = ()
    """Lanes that the server does not have."""
    delayed: int = 0
    """Messages that wait for their next attempt outside of any lane; on NATS they are unfinished ones of their lane."""


class Inspector(Protocol):
    """Looks at a bus and changes nothing."""

    async def look(self, topology: Topology) -> BusState:
        """How it is now. Raises BusUnavailable, BusRefused."""

    async def damaged(self, topology: Topology) -> Sequence[str]:
        """What is there and can't be opened by the server, by name. Raises BusUnavailable, BusRefused."""
