"""Commands, events and queries about one generation of text."""

from datetime import datetime
from enum import StrEnum
from typing import ClassVar
from uuid import UUID

import msgspec

from penstock_common.contracts.base import Contract, Decision


class Outcome(StrEnum):
    """How a request ended. The first one recorded wins."""

    SUCCEEDED = "succeeded"
    PARTIAL = "partial"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    FAILED = "failed"
    LOST = "lost"


class Measure(StrEnum):
    """Where token counts come from."""

    MEASURED = "measured"
    ESTIMATED = "estimated"
    PARTIAL = "partial"


class OnDisconnect(StrEnum):
    """What becomes of a generation whose client left."""

    CANCEL = "cancel"
    CONTINUE = "continue"


class Tokens(msgspec.Struct, frozen=True, omit_defaults=True):
    """Token counts of one attempt. `cached` is part of `prompt`, `reasoning` part of `completion`."""

    prompt: int = 0
    completion: int = 0
    cached: int = 0
    reasoning: int = 0
    measure: Measure = Measure.MEASURED


class GenerateText(Contract, frozen=True, kw_only=True, omit_defaults=True):
    """Ask inference to answer one chat completion request."""

    volatile: ClassVar[frozenset[str]] = frozenset(
        {"sealed", "deadline", "accepted_at", "reply_to", "republished", "decisions", "catalogue_version"}
    )

    request_id: UUID
    tenant: UUID
    key_id: UUID
    model: str
    catalogue_version: int
    sealed: bytes
    """The client's JSON body, sealed by the tenant's key under the request id."""
    body_mac: str
    """Keyed digest of the body: tells two bodies apart without telling anything of them."""
    streamed: bool
    reply_to: str
    """The api process whose inbox takes the chunks."""
    accepted_at: datetime
    deadline: datetime
    lane: str = "interactive"
    on_disconnect: OnDisconnect = OnDisconnect.CANCEL
    republished: bool = False
    decisions: list[Decision] = []


class CancelGeneration(Contract, frozen=True, kw_only=True, omit_defaults=True):
    """Stop a generation wherever it runs; the first outcome wins."""

    request_id: UUID
    tenant: UUID
    reason: str


class GenerationCompleted(Contract, frozen=True, kw_only=True, omit_defaults=True):
    """A request ended; written in the statement that made it true."""

    volatile: ClassVar[frozenset[str]] = frozenset({"decisions"})

    request_id: UUID
    attempt: int
    tenant: UUID
    key_id: UUID
    model: str
    deployment: str
    provider: str
    outcome: Outcome
    tokens: Tokens
    price_version: int
    streamed: bool
    accepted_at: datetime
    started_at: datetime
    completed_at: datetime
    first_token_at: datetime | None = None
    error_code: str = ""
    lane: str = "interactive"
    decisions: list[Decision] = []


class AttemptCosted(Contract, frozen=True, kw_only=True, omit_defaults=True):
    """An attempt that lost or was lost cost the provider's tokens all the same; no customer pays for it."""

    request_id: UUID
    attempt: int
    tenant: UUID
    model: str
    deployment: str
    provider: str
    tokens: Tokens
    price_version: int
    completed_at: datetime


class AttachGeneration(Contract, frozen=True, kw_only=True, omit_defaults=True):
    """Broadcast: whoever runs this generation sends the asking process what it lacks, and all that follows."""

    request_id: UUID
    reply_to: str
    offsets: dict[str, int] = {}
    """Characters already held, by `<choice>/<channel>`."""


class FindGeneration(Contract, frozen=True, kw_only=True, omit_defaults=True):
    """Query by a redelivery: does another process run this generation now? Only that process answers."""

    request_id: UUID
    asking: str


class GenerationFound(Contract, frozen=True, kw_only=True, omit_defaults=True):
    """The running owner of a generation."""

    request_id: UUID
    process: str
    attempt: int


class FindRequest(Contract, frozen=True, kw_only=True, omit_defaults=True):
    """Query by a take-over: does an api process hold this request open? Only that process answers."""

    request_id: UUID


class RequestFound(Contract, frozen=True, kw_only=True, omit_defaults=True):
    """The api process that holds a request open."""

    request_id: UUID
    process: str


class ReadGeneration(Contract, frozen=True, kw_only=True, omit_defaults=True):
    """Query: the recorded state of a generation; with `reply_to`, its answer is sent to that process's inbox."""

    request_id: UUID
    reply_to: str = ""


class GenerationState(Contract, frozen=True, kw_only=True, omit_defaults=True):
    """What inference's row says; `outcome` is `running`, `unknown` or an Outcome."""

    request_id: UUID
    outcome: str
    attempt: int = 0
