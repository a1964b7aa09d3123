"""What operators do to the platform, and what they ask its services."""

from datetime import datetime
from enum import StrEnum
from typing import ClassVar
from uuid import UUID

from penstock_common.contracts.base import Contract


class Phase(StrEnum):
    """How far an operator's act is."""

    BEGUN = "begun"
    DONE = "done"
    FAILED = "failed"


class OperatorActed(Contract, frozen=True, kw_only=True, omit_defaults=True):
    """An operator began, finished or failed to do something to the platform. Dry runs are no acts."""

    volatile: ClassVar[frozenset[str]] = frozenset({"at"})

    entry_id: UUID
    """Of this word alone; an act that was broken off and goes on says again that it began."""
    act_id: UUID
    act: str
    """What was done, such as `events.replay`."""
    phase: Phase
    actor: str
    """Who: `user@host` of a command line, or the id of an API key."""
    details: dict[str, str] = {}
    at: datetime


class FindHandled(Contract, frozen=True, kw_only=True, omit_defaults=True):
    """Whether a consumer's inbox has a message: only a process of the service that is asked for answers."""

    service: str
    consumer: str
    message_id: str


class HandledFound(Contract, frozen=True, kw_only=True, omit_defaults=True):
    """What the inbox has; nothing where the message was never handled, or is older than what inboxes keep."""

    handled_at: datetime | None = None
    content: str = ""
    """The fingerprint of what was handled."""
