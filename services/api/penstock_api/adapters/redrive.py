"""Lets letters go that are due to be tried again, and counts those that nobody acknowledged."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import msgspec
import structlog
from sqlalchemy import Row, text

from penstock_api import metrics
from penstock_api.adapters.dead_letter_table import LetterTable
from penstock_api.domain.dead_letters import RETRY
from penstock_common.clock import Clock
from penstock_common.db.outbox import OutboxRow
from penstock_common.db.transaction import Database
from penstock_common.ids import uuid7
from penstock_common.messaging.addressing import addressed
from penstock_common.messaging.envelope import FINGERPRINT
from penstock_common.messaging.ports import Outgoing
from penstock_common.messaging.topology import Consumer, Topology
from penstock_common.periodic import Periodic

log = structlog.get_logger()

LET_GO_SECONDS = 0.5
COUNT_SECONDS = 5.0
FORGET_SECONDS = 3600.0
KEPT = timedelta(days=90)  # letters that were retried or dropped
BATCH = 10  # letters of one transaction; a body may have megabytes

ANY_DUE = "select exists (select from api.dead_letters where state = 'due' and due_at <= $1)"
DUE = text(f"""
select l.id, l.consumer, l.subject, l.message_id, l.headers::text as headers, l.act_id,
  coalesce(e.body, l.body) as body, e.fingerprint
from api.dead_letters l
left join lateral (
  select body, fingerprint from api.dead_letter_edits where letter_id = l.id order by number desc limit 1
) e on true
where l.state = 'due' and l.due_at <= :now and l.consumer = any(cast(:known as text[]))
order by l.due_at limit {BATCH} for update of l skip locked
""")
GONE = text("""
update api.dead_letters set state = 'retried', due_at = null, changed_at = :now where id = any(cast(:ids as uuid[]))
""")
FORGET = text("delete from api.dead_letters where state in ('retried', 'dropped') and changed_at < :before")


@dataclass
class Redrive:
    """Runs in every process: rows are locked, so that each letter goes once an act."""

    database: Database
    topology: Topology
    clock: Clock
    table: LetterTable

    def __post_init__(self) -> None:
        self._letting_go = Periodic(LET_GO_SECONDS, self.let_go, "dead_letters.not_retried")
        self._gauging = Periodic(COUNT_SECONDS, self.gauge, "dead_letters.uncounted")
        self._forgetting = Periodic(FORGET_SECONDS, self.forget, "dead_letters.not_forgotten")
        self._lanes = {row.name: row for row in self.topology.rows}

    def start(self) -> None:
        """Begin."""
        for work in (self._letting_go, self._gauging, self._forgetting):
            work.start()

    async def stop(self) -> None:
        """Let go no more; what is due stays due."""
        for work in (self._letting_go, self._gauging, self._forgetting):
            await work.stop()

    def nudge(self) -> None:
        """Something may be due now."""
        self._letting_go.nudge()
        self.nudge_gauge()

    def nudge_gauge(self) -> None:
        """There are others to be counted."""
        self._gauging.nudge()

    async def let_go(self) -> None:
        """Publish all that is due by now. Raises DatabaseUnavailable."""
        if await self.database.finds(ANY_DUE, self.clock.now()):
            while await self._batch() == BATCH:
                pass

    async def _batch(self) -> int:
        """State and outbox row of some letters, in one transaction; how many."""
        async with self.database.transaction() as tx:
            due = (await tx.connection.execute(DUE, {"now": self.clock.now(), "known": list(self._lanes)})).all()
            if due:
                tx.rows.extend(OutboxRow(uuid7(), outgoing_of(row, self._lanes[row.consumer])) for row in due)
                await tx.connection.execute(GONE, {"now": self.clock.now(), "ids": [row.id for row in due]})
        for row in due:
            log.info("dead_letter.retried", letter=str(row.id), consumer=row.consumer, act=str(row.act_id))
        return len(due)

    async def gauge(self) -> None:
        """Tell how many letters nobody acknowledged. Raises DatabaseUnavailable."""
        waiting = await self.table.waiting()
        for consumer in {*self._lanes, *waiting}:
            metrics.DEAD_LETTERS.labels(consumer).set(waiting.get(consumer, 0))

    async def forget(self) -> None:
        """Drop what was retried or dropped long ago. Raises DatabaseUnavailable."""
        async with self.database.reading() as connection:
            await connection.execute(FORGET, {"before": self.clock.now() - KEPT})


def outgoing_of(row: Row[Any], lane: Consumer) -> Outgoing:
    """A letter as a message to its consumer alone, which says what it is tried again for."""
    headers = msgspec.json.decode(row.headers, type=dict[str, str])
    headers[RETRY] = f"{row.id}/{row.act_id}"
    if row.fingerprint is not None:
        headers[FINGERPRINT] = row.fingerprint
    message = Outgoing(row.subject, lane.topic.stream, row.message_id or str(row.id), headers, bytes(row.body))
    # Several letters of an act may be copies of one message: each needs an id that the bus has not seen.
    return addressed(message, lane, f"{row.act_id}.{row.id}")
