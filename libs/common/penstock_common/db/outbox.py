"""The outbox: what a service says, in the transaction that made it true."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from uuid import UUID

import msgspec

from penstock_common.db.arrays import arrays_of
from penstock_common.ids import day_made
from penstock_common.messaging.ports import Outgoing

COLUMNS = {
    "day": "date",
    "id": "uuid",
    "subject": "text",
    "stream": "text",
    "message_id": "text",
    "headers": "text",
    "body": "bytea",
}
"""As they are given; headers are kept as jsonb."""
NAMED = tuple(f":{name}" for name in COLUMNS)


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


def insert_statement(schema: str, parameters: Iterable[str] = NAMED) -> str:
    """Inserts rows given as one array a column, by parameters in the order of `COLUMNS`."""
    names = ", ".join(COLUMNS)
    given = arrays_of(parameters, COLUMNS.values())
    return f"""
insert into {schema}.outbox ({names})
select {names.replace("headers", "cast(headers as jsonb)")} from unnest({given}) as g({names})
"""
