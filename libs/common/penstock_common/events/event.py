"""An event as an outbox keeps it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from penstock_common.ids import time_of
from penstock_common.messaging.envelope import CAUSATION, CORRELATION, TENANT, TRACEPARENT
from penstock_common.messaging.ports import Outgoing
from penstock_common.messaging.topology import ONLY, Kind

TYPE = "ce-type"
TYPE_PREFIX = "penstock."
ASKING = ("cmd.", ONLY)
"""How subjects begin that ask one service, or one consumer, for something."""


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """One row of an outbox; headers and body are exactly what was published."""

    service: str
    """Whose outbox it is."""
    day: date
    id: UUID
    """The row's own uuid7, by whose time events are ordered."""
    subject: str
    stream: str
    message_id: str
    """`ce-id`, under which inboxes know it; followed by `:<act>` where an operator sent it once more."""
    headers: Mapping[str, str]
    body: bytes
    created_at: datetime
    """When the transaction began that wrote it, by the database's clock."""
    published_at: datetime | None
    """When the bus had confirmed it; None while it has not."""

    @property
    def at(self) -> datetime:
        """When it was said, to the millisecond."""
        return time_of(self.id)

    @property
    def kind(self) -> Kind:
        """What it is for."""
        return kind_of(self.subject)

    @property
    def topic(self) -> str:
        """The subject of its contract, also where it was addressed to one consumer."""
        return self.headers.get(TYPE, "").removeprefix(TYPE_PREFIX) or self.subject

    @property
    def tenant(self) -> str:
        """Whose it is; empty where it is nobody's."""
        return self.headers.get(TENANT, "")

    @property
    def correlation(self) -> str:
        """What the whole chain is about; empty where that was not said."""
        return self.headers.get(CORRELATION, "")

    @property
    def causation(self) -> str:
        """The id of the message that caused it; empty where none did."""
        return self.headers.get(CAUSATION, "")

    @property
    def trace_id(self) -> str:
        """32 hex digits; empty where no trace was kept."""
        return (*self.headers.get(TRACEPARENT, "").split("-"), "")[1]

    @property
    def outgoing(self) -> Outgoing:
        """The message that it was, under its own id."""
        return Outgoing(self.subject, self.stream, self.message_id, self.headers, self.body)


def kind_of(subject: str) -> Kind:
    """Whether a stored subject asks for something or tells a fact."""
    return Kind.COMMAND if subject.startswith(ASKING) else Kind.EVENT
