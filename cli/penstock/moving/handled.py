"""What consumers have done with messages, as the services' own records tell it."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date

import asyncpg

from penstock_common.events.event import StoredEvent
from penstock_common.ids import UUID_TEXT, day_of
from penstock_common.messaging.envelope import MESSAGE_ID
from penstock_common.messaging.topology import Consumer, Topology

INBOX = """
select i.message_id from {schema}.inbox i
join unnest($2::date[], $3::text[]) as g(day, id) on i.day = g.day and i.message_id = g.id
where i.consumer = $1
"""
GENERATED = """
select request_id::text from inference.generations where request_id = any($1::uuid[]) and outcome <> 'running'
"""
BURIED = """
select message_id from api.dead_letters where consumer = $1 and message_id = any($2::text[]) and state <> 'retried'
"""
OLDEST_INBOX = r"""
select min(to_date(substring(p.relname from '^inbox_(\d{8})$'), 'YYYYMMDD'))
from pg_inherits i join pg_class p on p.oid = i.inhrelid where i.inhparent = to_regclass($1)
"""


@dataclass
class Records:
    """Of one platform, read through a role that may read all schemas; at most some thousand messages a question."""

    connection: asyncpg.Connection
    topology: Topology
    _oldest: dict[str, date | None] = field(default_factory=dict)

    def consumers_of(self, event: StoredEvent) -> Sequence[Consumer]:
        """Those that an event is for; none where nobody has to handle it."""
        return [row for row in self.topology.consumers if event.subject in (row.topic.subject, row.address)]

    async def owed(self, events: Sequence[StoredEvent]) -> dict[str, set[str]]:
        """By consumer, the message ids that it neither handled nor buried."""
        by_consumer: dict[Consumer, set[str]] = defaultdict(set)
        for event in events:
            for consumer in self.consumers_of(event):
                by_consumer[consumer].add(inbox_id(event))
        owed = {consumer.name: ids - await self._handled(consumer, ids) for consumer, ids in by_consumer.items()}
        return {name: ids - await self._buried(name, ids) for name, ids in owed.items() if ids}

    async def can_tell(self, consumer: Consumer, message_id: str) -> bool:
        """Whether the consumer's inbox still keeps the day of a message: what is older may have been handled."""
        if not consumer.has_inbox:
            return True
        service = consumer.service
        if service not in self._oldest:
            self._oldest[service] = await self.connection.fetchval(OLDEST_INBOX, f"{service}.inbox")
        oldest = self._oldest[service]
        return oldest is None or day_of(message_id) >= oldest

    async def _handled(self, consumer: Consumer, ids: set[str]) -> set[str]:
        asked = sorted(ids)
        if not consumer.has_inbox:
            ended = await self.connection.fetch(GENERATED, [id_[:UUID_TEXT] for id_ in asked])
            known = {str(row[0]) for row in ended}
            return {id_ for id_ in asked if id_[:UUID_TEXT].lower() in known}
        statement = INBOX.format(schema=consumer.service)
        rows = await self.connection.fetch(statement, consumer.inbox_name, [day_of(id_) for id_ in asked], asked)
        return {str(row[0]) for row in rows}

    async def _buried(self, consumer: str, ids: set[str]) -> set[str]:
        return {str(row[0]) for row in await self.connection.fetch(BURIED, consumer, sorted(ids))} if ids else set()


def inbox_id(event: StoredEvent) -> str:
    """The id by which inboxes know an event; one that was said again to a single consumer has another of its own."""
    return event.headers.get(MESSAGE_ID, event.message_id)
