"""Dead letters as they look over HTTP."""

import base64
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from penstock_api.domain.dead_letters import (
    FASTEST,
    MOST_IDS,
    OPEN,
    SLOWEST,
    Choice,
    Letter,
    State,
    WholeLetter,
)
from penstock_api.ports.dead_letters import Foresight, LetterReading
from penstock_common.messaging.attempts import Attempt

NAME_LENGTH = 200
RATE = 10.0  # letters a second
Name = Annotated[str, Field(max_length=NAME_LENGTH)]


class Choosing(BaseModel):
    """Which dead letters; what is not given does not choose."""

    model_config = ConfigDict(extra="forbid")

    consumer: Name | None = Field(None, description="Its name, or the beginning of several with `*` behind it.")
    topic: Name | None = Field(None, description="Written as `consumer` is.")
    tenant: UUID | None = None
    code: Name | None = Field(None, description="The error's code, as `penstock dlq ls` shows it.")
    states: Annotated[list[State], Field(max_length=len(State))] = list(OPEN)
    failed_since: AwareDatetime | None = None
    failed_before: AwareDatetime | None = Field(None, description="By this, letters are chosen by their age.")
    ids: Annotated[list[UUID], Field(max_length=MOST_IDS)] | None = None
    up_to: UUID | None = Field(None, description="None that was collected after this one; a dry run names it.")

    def choice(self) -> Choice:
        """The same for the domain."""
        given = self.model_dump(include=set(Choosing.model_fields))
        return Choice(**given)


class ToDo(Choosing):
    """What is to be done to all letters that are chosen."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"example": {"consumer": "billing-on-generation-completed", "dry_run": True}},
    )

    dry_run: bool = Field(False, description="Count only.")
    everything: bool = Field(False, description="Has to be said where nothing else chooses.")

    def is_chosen(self) -> bool:
        """Whether something was said about which letters."""
        chosen = self.model_dump(exclude={"dry_run", "everything", "rate", "states"}, exclude_none=True)
        return bool(chosen) or self.everything


class ToRetry(ToDo):
    """What is to be tried again."""

    rate: float = Field(RATE, ge=SLOWEST, le=FASTEST, description="Letters a second.")


class Edited(BaseModel):
    """What is to become of a payload: one of the two."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"patch": {"model": "sim/fast"}}})

    patch: dict[str, Any] | None = Field(None, description="A merge patch (RFC 7396) over the payload's fields.")
    payload: dict[str, Any] | None = Field(None, description="Another payload altogether.")


class Done(BaseModel):
    """What an act was about, or would be."""

    act_id: UUID | None = Field(description="As the audit log has it; none of a dry run.")
    dry_run: bool
    count: int
    by_consumer: dict[str, int]
    up_to: UUID | None = Field(description="The newest letter that was counted.")


class LetterShown(BaseModel):
    """A dead letter in a list."""

    id: UUID
    consumer: str
    topic: str
    message_id: str
    tenant: UUID | None
    code: str = Field(examples=["common.contract_violated"])
    reason: str
    attempts: int
    first_failed_at: datetime
    last_failed_at: datetime
    collected_at: datetime
    state: State
    changed_at: datetime
    retries: int
    act_id: UUID | None = Field(description="The act that had it tried again last.")
    due_at: datetime | None = Field(description="When it is tried again.")
    bytes: int = Field(description="Of its body.")
    edits: int


class LetterPage(BaseModel):
    """Dead letters, the oldest first."""

    dead_letters: list[LetterShown]


class AttemptShown(BaseModel):
    """One attempt that ended with a word; numbers that are missing had none, or were too many to keep."""

    number: int
    at: str
    process: str = Field(description="`host:pid`.")
    code: str
    reason: str
    trace: str


class EditShown(BaseModel):
    """A payload that somebody gave it."""

    number: int
    actor: str
    at: datetime


class LetterWhole(LetterShown):
    """A dead letter with its payload and story."""

    payload: Any = Field(description='By its contract; sealed fields are `{"sealed": <bytes>}`.')
    problem: str = Field(description="Why the payload is not shown by its contract; empty where it is.")
    original: Any = Field(description="What it was before it was edited; null where it was not.")
    headers: dict[str, str]
    story: list[AttemptShown]
    edited: list[EditShown]
    would: str = Field(description="What a retry would do: `apply`, `skip`, `conflict`, or `unknown`.")
    because: str


class LetterExported(LetterShown):
    """A dead letter as it was on the bus."""

    headers: dict[str, str]
    story: list[AttemptShown]
    body_base64: str
    edited_base64: str | None = Field(description="The body that the next attempt gets, where it was edited.")


class ExportPage(BaseModel):
    """Dead letters, the oldest first."""

    dead_letters: list[LetterExported]


class Summary(BaseModel):
    """Counts by consumer and state."""

    unacknowledged: int
    consumers: dict[str, dict[State, int]]


def letter_view(letter: Letter) -> LetterShown:
    """For a list."""
    return LetterShown(**_fields(letter))


def whole_view(whole: WholeLetter, reading: LetterReading, foresight: Foresight) -> LetterWhole:
    """For one who looks at it."""
    now = reading.payload(whole)
    return LetterWhole(
        **_fields(whole.letter),
        payload=now.payload,
        problem=now.problem,
        original=reading.payload(whole, original=True).payload if whole.edited else None,
        headers=dict(whole.headers),
        story=_story(whole.story),
        edited=[EditShown(number=edit.number, actor=edit.actor, at=edit.at) for edit in whole.edited],
        would=foresight.would,
        because=foresight.because,
    )


def export_view(whole: WholeLetter) -> LetterExported:
    """For one who takes it away."""
    return LetterExported(
        **_fields(whole.letter),
        headers=dict(whole.headers),
        story=_story(whole.story),
        body_base64=base64.b64encode(whole.body).decode(),
        edited_base64=base64.b64encode(whole.current).decode() if whole.edited else None,
    )


def _story(story: Sequence[Attempt]) -> list[AttemptShown]:
    return [
        AttemptShown(number=a.number, at=a.at, process=a.process, code=a.code, reason=a.reason, trace=a.trace)
        for a in story
    ]


def _fields(letter: Letter) -> dict[str, Any]:
    renamed = {"topic": letter.subject, "bytes": letter.size}
    return {name: renamed.get(name, getattr(letter, name, None)) for name in LetterShown.model_fields}
