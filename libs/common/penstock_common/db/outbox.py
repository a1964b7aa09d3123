"""The outbox: what a service says, in the transaction that made it true."""

from dataclasses import dataclass
from datetime import date
from functools import cached_property
from uuid import UUID

import msgspec

from penstock_common.ids import day_made
from penstock_common.messaging.ports import Outgoing

COLUMNS = ("day", "id", "subject", "stream", "message_id", "headers", "body")


@dataclass(frozen=True)
class OutboxRow:
    """A message and the row that keeps it; the row's day is that of its own id."""

    id: UUID
    outgoing: Outgoing

    @property
    def day(self) -> date:
        """The partition."""
        return day_made(self.id)

    @property
    def values(self) -> tuple[object, ...]:
        """Its columns, in the order of `COLUMNS`."""
        out = self.outgoing
        return (self.day, self.id, out.subject, out.stream, out.message_id, self.headers_json, out.body)

    @cached_property
    def headers_json(self) -> str:
        """The headers as the jsonb column takes them."""
        return msgspec.json.encode(self.outgoing.headers).decode()


def insert_statement(schema: str) -> str:
    """Inserts rows given as one array a column: day, id, subject, stream, message_id, headers, body."""
    return f"""
insert into {schema}.outbox (day, id, subject, stream, message_id, headers, body)
select day, id, subject, stream, message_id, cast(headers as jsonb), body
from unnest(cast(:day as date[]), cast(:id as uuid[]), cast(:subject as text[]), cast(:stream as text[]),
            cast(:message_id as text[]), cast(:headers as text[]), cast(:body as bytea[]))
  as g(day, id, subject, stream, message_id, headers, body)
"""
