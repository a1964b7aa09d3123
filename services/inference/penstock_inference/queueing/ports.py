"""What the dispatcher needs from outside."""

from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from penstock_common.contracts.generation import GenerateText
from penstock_common.contracts.queueing import QueueText
from penstock_common.contracts.stream import Failure
from penstock_common.db.transaction import Transaction
from penstock_common.messaging.envelope import Context
from penstock_inference.domain.ending import End


@dataclass(frozen=True, slots=True)
class Due:
    """A queued request that must end without its turn."""

    command: QueueText
    verdict: str
    """`stopped`, `full`, or empty where its deadline passed."""
    context: Context


@dataclass(frozen=True, slots=True)
class State:
    """Whether there is something to do about the queue."""

    has_any: bool
    """Whether something waits, or a turn is known to be taken."""
    has_due: bool
    """Whether something that waits must end."""
    has_overdue: bool
    """Whether a turn should have been over long ago."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What one look at the queue did."""

    ended: int
    """Turns that were found to be over."""
    dispatched: int
    running: int
    """Turns that are not over, of all processes."""
    waiting: int
    may_send_more: bool = False
    """Whether as many were sent as are sent together."""


class Queue(Protocol):
    """The queue of all processes. Every method raises DatabaseUnavailable."""

    async def state(self) -> State:
        """What there is to do."""

    async def due(self) -> list[Due]:
        """Some of those that wait and must end: stopped, refused, or past their deadline."""

    async def remove(self, request_ids: list[UUID]) -> None:
        """Forget requests whose end is recorded."""

    async def overdue(self) -> list[GenerateText]:
        """Some of those whose turn should have been over long ago."""

    async def dispatch(self, slots: int) -> Sent:
        """Forget turns that are over, and send as many requests as there are slots free then."""


class Intake(Protocol):
    """Where requests are queued."""

    async def take(self, tx: Transaction[QueueText]) -> None:
        """Queue what is fresh of the messages of a transaction; what there is no room for is marked to be refused."""


class Ends(Protocol):
    """Where ends are recorded."""

    async def finish(self, end: End) -> bool:
        """Record an end; True if it is the one that counts."""


class Burial(Protocol):
    """Ends what can't be handled."""

    async def bury(self, command: GenerateText, failure: Failure) -> None:
        """A command that could not be handled ends as failed, whatever attempt it is at."""
