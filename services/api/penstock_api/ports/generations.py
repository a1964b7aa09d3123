"""Generations, as the chat route uses them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from penstock_api.domain.answer import Answer
from penstock_common.contracts.base import Decision
from penstock_common.contracts.generation import GenerateText, OnDisconnect


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
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


class Generation(Protocol):
    """One accepted request, until its client has what it asked for."""

    answer: Answer
    accepted_at: datetime
    repeated: bool
    """Whether it was asked before, under its idempotency key: the answer is the one of then."""

    @property
    def request_id(self) -> UUID:
        """The id under which it was accepted first."""

    def leave(self) -> None:
        """The client went away."""

    def seconds_left(self) -> float:
        """How long it is still worth waiting for the answer."""

    async def changed(self) -> None:
        """Return when something arrived. Raises ClientLeft."""


class Generations(Protocol):
    """The requests that this process holds open."""

    async def begin(self, asked: Asked) -> Generation:
        """Accept a request: the bus has it. Raises Busy, Stopping, BusUnavailable, MessageTooLarge.

        One that names a request of before by its idempotency key waits for that one's answer; raises
        IdempotencyKeyReused where it is another request, DatabaseUnavailable.
        """

    def end(self, generation: Generation) -> None:
        """The client has its answer, or nobody waits for it."""

    def client_left(self, generation: Generation) -> None:
        """Nobody reads the answer any more: stop the generation, unless it was asked to go on."""

    def abandoned(self, generation: Generation) -> None:
        """The answer can't be used: stop a generation that still runs."""

    def lost(self, generation: Generation) -> None:
        """Nothing was heard of a generation until its deadline."""
