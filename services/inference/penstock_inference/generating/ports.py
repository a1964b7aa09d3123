"""What a generation needs from outside."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from penstock_common.contracts.generation import CancelGeneration, GenerateText, GenerationState, Tokens
from penstock_common.contracts.stream import Frame
from penstock_inference.domain.catalogue import Model
from penstock_inference.domain.ending import End
from penstock_inference.domain.takeover import Held


@dataclass(frozen=True, slots=True)
class Recorded:
    """A row of `inference.generations`."""

    state: GenerationState
    frames: list[Frame]
    """The answer from its beginning, if it was asked for, it ended and its subject was not erased."""

    @property
    def attempt(self) -> int:
        """The attempt that ended it, or the newest."""
        return self.state.attempt

    @property
    def outcome(self) -> str:
        """How it ended; `running` where it did not."""
        return self.state.outcome


class Records(Protocol):
    """The one row that decides how a request ended."""

    @property
    def stalled(self) -> bool:
        """Whether an end could not be recorded now."""

    async def finish(self, end: End) -> bool:
        """Record an end; True if it is the one that counts. Repeats until the database answers."""

    async def claim(self, command: GenerateText, process: str) -> int | None:
        """Take over a request: the number of the new attempt, from 2; None where it ended already."""

    async def confirm(self, command: GenerateText, attempt: int, process: str) -> bool:
        """Whether this attempt is still the newest; records it as running, so that it is known from now on."""

    async def read(self, request_id: UUID, *, with_answer: bool = True) -> Recorded | None:
        """The row, if there is one; its text only where it is asked for."""

    async def states(self, request_ids: Sequence[UUID]) -> dict[UUID, GenerationState]:
        """What the rows say that are there."""

    async def is_cancelled(self, request_id: UUID) -> bool:
        """Whether a stop was asked for."""

    async def cost(self, end: End) -> None:
        """Book what a losing attempt cost."""


class Models(Protocol):
    """The catalogue."""

    @property
    def version(self) -> int:
        """Of the catalogue, as this process knows it."""

    def resolve(self, name: str) -> Model | None:
        """A model by name or alias."""


class Tokenizer(Protocol):
    """Counts tokens where the engine gives no numbers."""

    async def estimate(self, body: dict[str, object], text: str) -> Tokens:
        """Prompt and completion tokens, flagged estimated."""


class Listeners(Protocol):
    """Who waits for an answer."""

    def send(self, process: str, request_id: UUID, frames: list[Frame]) -> bool:
        """Best effort to a process's inbox; False where it surely did not leave."""

    async def anyone_waits(self, request_id: UUID) -> bool:
        """Whether an api process holds this request open; True also where nobody can be asked now."""

    async def held(self, request_id: UUID) -> Held | None:
        """What an api process that holds this request open has of its answer. Raises BusUnavailable."""

    async def owner_lives(self, request_id: UUID) -> bool:
        """Whether another process runs this request."""

    async def took_over(self, request_id: UUID, attempt: int) -> None:
        """Tell every api process that this process makes another attempt, so that those who hold it open attach."""


class Stops(Protocol):
    """Stops that were asked for, kept for whoever begins or takes over the request later."""

    async def mark(self, connection: AsyncConnection, cancel: CancelGeneration) -> None:
        """Remember a stop, in the caller's transaction."""
