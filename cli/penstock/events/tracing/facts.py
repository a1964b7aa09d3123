"""All that the services' records say about one chain of causes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from penstock_common.contracts.base import Decision
from penstock_common.events.event import StoredEvent

Row = Mapping[str, Any]

ASK = "ask"


@dataclass(slots=True)
class Facts:
    """Rows by the id that they are about."""

    sought: str
    """What was asked for."""
    now: datetime
    """By the database's clock."""
    requests: dict[UUID, Row] = field(default_factory=dict)
    generations: dict[UUID, Row] = field(default_factory=dict)
    queued: dict[UUID, Row] = field(default_factory=dict)
    stops: dict[UUID, Row] = field(default_factory=dict)
    callbacks: dict[UUID, Row] = field(default_factory=dict)
    ticks: dict[UUID, Row] = field(default_factory=dict)
    documents: dict[UUID, Row] = field(default_factory=dict)
    runs: dict[UUID, Row] = field(default_factory=dict)
    charges: dict[UUID, list[Row]] = field(default_factory=dict)
    entries: dict[UUID, list[Row]] = field(default_factory=dict)
    events: dict[UUID, StoredEvent] = field(default_factory=dict)
    handled: dict[tuple[str, str], datetime] = field(default_factory=dict)
    """(consumer, message id) → when."""
    letters: dict[tuple[str, str], Row] = field(default_factory=dict)
    """(consumer, message id) → the newest dead letter."""
    is_cut: bool = False
    """Whether there is more than was gathered."""

    @property
    def is_empty(self) -> bool:
        """Whether nobody knows anything."""
        return not (self.things or self.events)

    @property
    def things(self) -> set[UUID]:
        """The requests, runs and documents."""
        return {*self.requests, *self.generations, *self.queued, *self.runs, *self.documents, *self.ticks}

    def decisions(self, request_id: UUID) -> list[Decision]:
        """A request's trail: inference's, which goes on from api's, or api's alone while there is no other."""
        row = self.generations.get(request_id) or self.requests.get(request_id)
        return msgspec.json.decode(row["decisions"], type=list[Decision]) if row else []

    def asked_by(self, request_id: UUID) -> UUID | None:
        """The run or document that a request was asked for; None where a client asked."""
        for decision in self.decisions(request_id):
            _, separator, cause = decision.reason.partition(" for ")
            if decision.step == ASK and separator:
                return uuid_or_none(cause)
        return None


def uuid_or_none(text: str) -> UUID | None:
    """A uuid in its canonical text."""
    try:
        return UUID(text) if len(text) == 36 else None
    except ValueError:
        return None
