"""What is remembered of a run: what each client asked for and heard, and what the books say of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import msgspec

from tests.chaos.script import Order


class Habit(StrEnum):
    """How a client behaves."""

    STAYS = "stays"
    SLOW = "slow"
    """Reads less than what is said, for a while."""
    LEAVES = "leaves"
    """Cuts its connection in mid-stream, and comes back later."""
    STOPS = "stops"
    """Deletes the request in mid-stream."""
    WHOLE = "whole"
    """Asks for an unstreamed answer."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """One request to be made."""

    order: Order
    model: str
    habit: Habit
    named: bool
    """Whether it has an Idempotency-Key, and so may be sent again."""
    turn: int
    """Events after which it leaves or stops."""
    pause: float
    """Seconds that it stays away."""

    @property
    def streamed(self) -> bool:
        """Whether it asks for events."""
        return self.habit is not Habit.WHOLE

    @property
    def keeps_on(self) -> bool:
        """Whether the generation is to go on without its client."""
        return self.named or self.habit in (Habit.LEAVES, Habit.SLOW)


class Ending(StrEnum):
    """How it ended for the client."""

    DONE = "done"
    """`[DONE]`, or a whole body."""
    FAILED = "failed"
    """An error was told: in the stream, or as a status after the request was accepted."""
    REFUSED = "refused"
    """It was never accepted."""
    UNKNOWN = "unknown"
    """The connection was cut before anything was heard, and the request has no name to be asked for by."""
    CUT = "cut"
    """The stream ended without an end, and could not be had again."""
    HANGING = "hanging"
    """Nothing more came, for longer than any client waits."""


class Heard(msgspec.Struct, frozen=True, array_like=True):
    """One server-sent event."""

    at: float
    """Seconds since the run began."""
    id: str
    data: str


class Story(msgspec.Struct, kw_only=True):
    """One client's request, from its own point of view. Times are seconds since the run began."""

    plan: Plan
    began: float = 0.0
    ended: float = 0.0
    request_id: str = ""
    heard: list[Heard] = []
    body: str = ""
    """The answer that was not streamed, or the problem that was told by status."""
    ending: Ending = Ending.UNKNOWN
    connections: list[str] = []
    """What came of each attempt to connect, for people."""
    resumed: int = 0
    """Connections on which the answer went on."""
    stopped: bool = False
    """Whether a DELETE was sent."""
    left: bool = False
    """Whether it was away for a while by its own will."""
    clean_cuts: int = 0
    """Streams that ended as if all were well, without an end."""
    silence: float = 0.0
    """The longest time without a word, once it was accepted; its own absence is left out."""


class Entry(msgspec.Struct, frozen=True):
    """One entry of the ledger."""

    book: str
    attempt: int
    outcome: str
    prompt: int
    completion: int


class Row(msgspec.Struct, frozen=True):
    """What inference recorded as the end of a request."""

    attempt: int
    outcome: str
    measure: str
    prompt: int
    completion: int
    error: str = ""


@dataclass(frozen=True, slots=True)
class Booked:
    """What the books say of one request."""

    row: Row | None = None
    entries: list[Entry] = field(default_factory=list)

    @property
    def charged(self) -> list[Entry]:
        """What the customer pays for."""
        return [entry for entry in self.entries if entry.book == "customer"]


Books = Mapping[str, Booked]
"""By request id."""
