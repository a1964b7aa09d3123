"""Requests whose answers are fetched later, as their route submits them."""

from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from penstock_api.domain.keys import Key
from penstock_api.domain.submission import Submission
from penstock_common.contracts.base import Decision


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted:
    """A request that was checked and may be accepted."""

    request_id: UUID
    key: Key
    submission: Submission
    model: str
    """The catalogue's name."""
    catalogue_version: int
    decisions: list[Decision]
    raw: bytes
    """The whole body: under an idempotency key, it must be the same again."""
    idempotency_key: str = ""
    depth: int = 0
    """How many runs stand above it."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """A request that is on disk; it ends once, whatever dies."""

    request_id: UUID
    repeated: bool = False
    """Whether it was accepted before, under its idempotency key."""
    position: int | None = None
    """About where in the queue it stands, from 1; None where that is not known."""
    expected_wait_seconds: float | None = None


class Submissions(Protocol):
    """Takes requests whose answers are fetched later."""

    async def submit(self, submitted: Submitted) -> Accepted:
        """Accept a request, durably.

        Raises InvalidRequest, QueueFull, Busy, IdempotencyKeyReused, HookNotFound, DatabaseUnavailable.
        """
