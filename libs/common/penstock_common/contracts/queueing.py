"""Commands and queries about requests that nobody waits for: they rest in inference's queue until it is their turn."""

from uuid import UUID

import msgspec

from penstock_common.contracts.base import Contract
from penstock_common.contracts.embedding import EmbedTexts
from penstock_common.contracts.generation import GenerateText

BATCH = "batch"
"""The lane of what is queued."""
HIGHEST = 9
USUAL = 5


class QueueText(GenerateText, frozen=True, kw_only=True, omit_defaults=True):
    """Keep a request until it is its turn; its answer is read by its id."""

    priority: int = USUAL
    """0 to 9; within its tenant the highest goes first, and of equals the oldest."""
    embeds: bool = False
    """Whether `sealed` holds the body of an embeddings request, and not of a chat completion."""


class BatchText(GenerateText, frozen=True, kw_only=True, omit_defaults=True):
    """It is the turn of a queued request."""

    embeds: bool = False
    """Whether `sealed` holds the body of an embeddings request."""

    def for_engine(self) -> GenerateText:
        """The request as it is handled: as any other of its kind."""
        if not self.embeds:
            return self
        given = msgspec.structs.asdict(self)
        del given["embeds"]
        return EmbedTexts(**given)


class ReadQueue(Contract, frozen=True, kw_only=True, omit_defaults=True):
    """Query: what awaits the next request of a tenant in the queue."""

    tenant: UUID


class QueueReport(Contract, frozen=True, kw_only=True, omit_defaults=True):
    """Where in the queue a tenant's next request would stand, and whether there is room for it."""

    position: int
    """From 1, by the order in which tenants take turns."""
    waiting: int
    """Requests of all tenants."""
    tenant_waiting: int
    room: int
    """Requests that the queue still takes of this tenant."""
    expected_wait_seconds: float | None = None
    """By the pace of late; None where that is not known."""
