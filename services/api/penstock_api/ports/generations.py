"""Generations, as the chat route uses them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

import msgspec

from penstock_api.domain.answer import Answer
from penstock_common.contracts.base import Decision
from penstock_common.contracts.generation import About, GenerateText, GenerationState, OnDisconnect, Outcome

QUEUED, RUNNING = "queued", "running"


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A request that was checked and may be accepted."""

    request_id: UUID
    tenant: UUID
    key_id: UUID
    model: str
    """The catalogue's name."""
    catalogue_version: int
    body: bytes
    streamed: bool
    on_disconnect: OnDisconnect
    traceparent: str
    decisions: list[Decision]
    contract: type[GenerateText] = GenerateText
    """What inference is asked."""
    idempotency_key: str = ""
    """The client's own name for the request; empty for none."""
    asked: str = ""
    """The model as the client wrote it."""
    includes_usage: bool = False
    """Whether the client's stream ends with the token counts."""
    tier: str = "standard"
    """Of the key."""


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a request, whichever process accepted it."""

    about: About
    state: GenerationState
    """Its `outcome` is `queued`, `running` or an Outcome."""
    is_complete: bool = True
    """Whether `about` is all that its client asked for: api's history keeps no more than the model."""

    @property
    def request_id(self) -> UUID:
        """Its id."""
        return self.state.request_id

    @property
    def has_ended(self) -> bool:
        """Whether nothing more becomes of it."""
        return self.state.outcome in ENDS


ENDS = frozenset(outcome.value for outcome in Outcome)


class Generation(Protocol):
    """One accepted request, until its client has what it asked for."""

    answer: Answer

    @property
    def request_id(self) -> UUID:
        """The id under which it was accepted first."""

    @property
    def accepted_at(self) -> datetime:
        """When it was accepted first."""

    @property
    def repeated(self) -> bool:
        """Whether it was asked before, under its idempotency key: the answer is the one of then."""

    def leave(self) -> None:
        """The client went away."""

    async def changed(self) -> None:
        """Return when something arrived. Raises ClientLeft, AnswerLost after the deadline."""


class Generations(Protocol):
    """The requests that this process holds open."""

    async def begin(self, asked: Asked) -> Generation:
        """Accept a request: the bus has it. Raises Busy, Stopping, BusUnavailable, MessageTooLarge.

        One that names a request of before by its idempotency key waits for that one's answer; raises
        IdempotencyKeyReused where it is another request, DatabaseUnavailable.
        """

    async def resume(self, known: Known, answer: Answer) -> Generation:
        """Wait for the answer of a request that any process accepted. Raises Busy, Stopping, BusUnavailable."""

    def end(self, generation: Generation) -> None:
        """The client has its answer, or nobody waits for it."""

    def client_left(self, generation: Generation) -> None:
        """Nobody reads the answer any more: stop the generation, unless it was asked to go on or others read it."""

    def dropped(self, generation: Generation) -> None:
        """The client read too slowly, and has a while to come back."""

    def abandoned(self, generation: Generation) -> None:
        """The answer can't be used: stop a generation that still runs, unless others read it."""

    def lost(self, generation: Generation) -> None:
        """Nothing was heard of a generation until its deadline."""


class Lookup(Protocol):
    """Requests by their ids, whichever process accepted them, and whether they run, wait or have ended."""

    async def find(self, tenant: UUID, request_id: UUID) -> Known:
        """The state now. Raises InferenceNotFound, BusUnavailable, NoAnswer, DatabaseUnavailable."""

    async def begun(self, tenant: UUID, request_id: UUID) -> Known:
        """What a client who reads the answer must know; waits while only api's history knows of it.

        Raises InferenceNotFound, BusUnavailable, NoAnswer, DatabaseUnavailable.
        """

    async def stop(self, tenant: UUID, request_id: UUID) -> Known:
        """Stop it for good, and give its state once it has ended, or two seconds later."""
