"""What is to be said again, and to whom."""

import difflib
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from uuid import UUID

from penstock.events.choosing import ChoiceInvalid
from penstock_common.events.event import StoredEvent
from penstock_common.events.selection import Selection
from penstock_common.ids import uuid7
from penstock_common.messaging.addressing import addressed
from penstock_common.messaging.ports import Outgoing
from penstock_common.messaging.replayed import marked
from penstock_common.messaging.topology import ONLY, Consumer, Kind
from penstock_common.topology import PLATFORM

TOPICS = frozenset(topic.subject for topic in PLATFORM.topics if topic.stream)


@dataclass(frozen=True, slots=True)
class Plan:
    """One act; it says the same however often it is taken up."""

    act: UUID
    selection: Selection
    """With the moment up to which, so that what is said meanwhile does not belong to it."""
    to: str = ""
    """The one consumer; empty for everyone."""
    effects: bool = False
    """Whether what follows may reach outside of the platform."""
    archive: str = ""
    """Where the archive is that is read; empty for the outboxes."""

    def wants(self, event: StoredEvent) -> bool:
        """Whether an event that was selected is said again: what the bus had once, but no copy for one consumer."""
        told = event.published_at is not None or bool(self.archive)
        return told and event.subject in TOPICS and (not self.to or event.subject == lane_of(self.to).topic.subject)

    def outgoing(self, event: StoredEvent) -> Outgoing:
        """The marked message."""
        message = marked(event.outgoing, str(self.act), effects=self.effects)
        return addressed(message, lane_of(self.to), str(self.act)) if self.to else message

    def lanes(self, subject: str) -> list[Consumer]:
        """Who receives what is said on a subject."""
        return [row for row in PLATFORM.rows if row.topic.subject == subject and self.to in ("", row.name)]


@lru_cache
def lane_of(name: str) -> Consumer:
    """The consumer of this name. Raises ChoiceInvalid, with the name that may have been meant."""
    rows = {row.name: row for row in PLATFORM.rows}
    if row := rows.get(name):
        return row
    near = difflib.get_close_matches(name, rows, 3, 0.4)
    meant = f"Did you mean {' or '.join(near)}?" if near else "See: penstock topology show"
    raise ChoiceInvalid(f"--to: there is no consumer {name[:80]!r}. {meant}")


def plan_of(
    selection: Selection, *, to: str = "", commands: bool = False, effects: bool = False, archive: str = ""
) -> Plan:
    """A new act. Raises ChoiceInvalid for a choice that is none, or that asks for what it excludes."""
    if selection == Selection(kinds=selection.kinds):
        raise ChoiceInvalid("Say which events: --since 2h, --topic 'billing.>', --correlation ID, …")
    asked = Kind.COMMAND in selection.kinds
    if to:
        topic = lane_of(to).topic
        selection = replace(selection, subjects=selection.subjects or (topic.subject,))
        asked |= topic.kind is Kind.COMMAND
    if asked and not commands:
        raise ChoiceInvalid("Commands ask for work to be done: they are said again only with --commands.")
    kinds = selection.kinds if commands else frozenset({Kind.EVENT})
    until = min(filter(None, (selection.until, datetime.now(UTC))))
    return Plan(uuid7(), replace(selection, kinds=kinds, until=until), to, effects, archive)


def is_copy(event: StoredEvent) -> bool:
    """Whether it is a message that was said again to one consumer; the first one is in an outbox too."""
    return event.subject.startswith(ONLY)
