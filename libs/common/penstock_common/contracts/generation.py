"""Commands, events and queries about one generation of text."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, ClassVar
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
        {
            "sealed",
            "deadline",
            "accepted_at",
            "reply_to",
            "republished",
            "decisions",
            "catalogue_version",
            "asked",
            "includes_usage",
            "sent_at",
            "tier",
            "is_promised",
        }
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
    asked: str = ""
    """The model as the client wrote it; empty where that is its name."""
    includes_usage: bool = False
    """Whether the client's stream ends with the token counts."""
    sent_at: datetime | None = None
    """When it left the queue that it waited in; None where it was sent as soon as it was accepted."""
    tier: str = "standard"
    """The tier of the key that asked; one that is not known counts as `standard`."""
    is_promised: bool = False
    """Whether it was accepted for good: where there is no room it waits on the bus, and is not refused."""


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
    most: int = 0
    """Characters to send at most; who was sent less than there is asks again. 0 for all, and all that follows."""


class GenerationTakenOver(Contract, frozen=True, kw_only=True, omit_defaults=True):
    """Broadcast: another process makes the next attempt; whoever holds the request open attaches to it."""

    request_id: UUID
    process: str
    attempt: int


class ApiLives(Contract, frozen=True, kw_only=True, omit_defaults=True):
    """Broadcast every two seconds: an api process is there, and with it the clients that it holds."""

    process: str


class About(msgspec.Struct, frozen=True, omit_defaults=True):
    """What any api process must know of a request to answer for it."""

    tenant: UUID
    key_id: UUID
    model: str
    asked: str
    """The model as the client wrote it."""
    streamed: bool
    includes_usage: bool
    accepted_at: datetime
    deadline: datetime
    lane: str = "interactive"
    on_disconnect: OnDisconnect = OnDisconnect.CONTINUE
    """What it was accepted with; `continue` where that is not known."""

    @classmethod
    def of(cls, command: GenerateText) -> "About":
        """What a command says of its request."""
        c = command
        return cls(
            c.tenant,
            c.key_id,
            c.model,
            c.asked or c.model,
            c.streamed,
            c.includes_usage,
            c.accepted_at,
            c.deadline,
            c.lane,
            c.on_disconnect,
        )


class FindGeneration(Contract, frozen=True, kw_only=True, omit_defaults=True):
    """Query: does another process than the asking one have this generation now? Only that process answers."""

    request_id: UUID
    asking: str
    at_work: bool = False
    """Whether only a process that runs it is to answer, and none in which it waits."""


class GenerationFound(Contract, frozen=True, kw_only=True, omit_defaults=True):
    """The owner of a generation that runs, or of one that waits for a slot."""

    request_id: UUID
    process: str
    attempt: int
    """0 where it waits."""
    about: About | None = None
    started_at: datetime | None = None
    first_token_at: datetime | None = None
    decisions: list[Decision] = []
    position: int | None = None
    """Of one that waits: its place, from 1."""
    expected_wait_seconds: float | None = None
    """Of one that waits: until it begins, by the pace of late; None where that is not known."""


class FindRequest(Contract, frozen=True, kw_only=True, omit_defaults=True):
    """Query by inference: does an api process hold this request open? Only that process answers."""

    request_id: UUID
    with_answer: bool = False
    """Whether to tell what its client has of the answer."""
    asking: str = ""
    """A process that asks for others than itself."""


class RequestFound(Contract, frozen=True, kw_only=True, omit_defaults=True):
    """The api process that holds a request open."""

    request_id: UUID
    process: str
    answer: bytes = b""
    """Packed stream frames: what was delivered, from its beginning, where it was asked for."""
    restarts: bool = False
    """Whether its client takes an answer that begins anew."""
    about: About | None = None
    attempt: int = 0
    """The attempt that it hears; 0 where it has heard nothing."""


class ReadGeneration(Contract, frozen=True, kw_only=True, omit_defaults=True):
    """Query: the recorded state of a generation; with `reply_to`, its answer is sent to that process's inbox."""

    request_id: UUID
    reply_to: str = ""
    offsets: dict[str, int] = {}
    """Characters already held, by `<choice>/<channel>`."""
    most: int = 0
    """Characters to send at most, the end only with the last of them. 0 for all."""


MOST_READ = 64  # states in one answer


class ReadGenerations(Contract, frozen=True, kw_only=True, omit_defaults=True):
    """Query: the recorded states of some generations, without their answers."""

    request_ids: Annotated[list[UUID], msgspec.Meta(max_length=MOST_READ)]


class GenerationState(Contract, frozen=True, kw_only=True, omit_defaults=True):
    """What inference's row says; `outcome` is `queued`, `running`, `unknown` or an Outcome.

    Only `unknown` is about nothing.
    """

    request_id: UUID
    outcome: str
    attempt: int = 0
    about: About | None = None
    tokens: Tokens | None = None
    error_code: str = ""
    started_at: datetime | None = None
    first_token_at: datetime | None = None
    ended_at: datetime | None = None
    decisions: list[Decision] = []
    is_kept: bool = False
    """Whether the text of an answer that ended is still there."""
    position: int | None = None
    """Of what is queued: its place, from 1."""
    expected_wait_seconds: float | None = None
    """Of what is queued: until it begins, by the pace of late; None where that is not known."""


class GenerationStates(Contract, frozen=True, kw_only=True, omit_defaults=True):
    """The state of each generation that was asked about, in that order."""

    states: list[GenerationState]
