"""What the services would have recorded about requests and runs, for whoever traces them."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from penstock_common.contracts.base import Decision
from penstock_common.events.event import StoredEvent
from penstock_common.ids import day_of, uuid7
from tests.support.outboxes import an_event, insert

TENANT = UUID("01a2009d-0000-7000-8000-000000000001")
KEY = UUID("01a2009d-0000-7000-8000-000000000002")
SECRET = b"what was asked and answered"
COMPLETED, USAGE = "inference.generation.completed.v1", "billing.usage.recorded.v1"

ACCEPTED = (
    Decision("authenticate", "accepted", "key psk-1234"),
    Decision("entitle", "standard", "scope chat"),
    Decision("resolve_model", "sim/fast", "alias", 7),
    Decision("accept", "interactive", "api-1"),
)
REQUEST = """
insert into api.requests (request_id, tenant, key_id, model, streamed, lane, status, decisions, accepted_at, deadline)
values ($1, $2, $3, 'sim/fast', true, 'interactive', $4, $5, $6, $7)
"""
GENERATION = """
insert into inference.generations (request_id, tenant, key_id, model, deployment, provider, outcome, attempt, owner,
    streamed, lane, price_version, prompt_tokens, completion_tokens, error_code, sealed, decisions, accepted_at,
    deadline, claimed_at, started_at, first_token_at, ended_at)
values ($1, $2, $3, 'sim/fast', 'sim:fast', 'sim', $4, $5, 'inference-1', true, 'interactive', 1, 9, 4, $6, $7, $8, $9,
    $10, $9, $11, $12, $13)
"""
ENTRY = """
with entered as (insert into billing.entries (id, book, source_key, request_id, attempt, kind, tenant, key_id, model,
    prompt_tokens, completion_tokens, cached_tokens, measure, outcome, currency, price_version, occurred_at)
values ($1, 'customer', $2 || '/usage', $3, $4, 'usage', $5, $6, 'sim/fast', 9, 4, 0, 'measured', 'succeeded', 'USD', 1,
    $7))
insert into billing.postings values ($1, $8, 5000000), ($1, 'revenue:usage', -5000000)
"""
RUN = """
insert into worker.runs (id, tenant, key_id, task, sealed, trigger, source_id, depth, state, traceparent, created_at,
    ended_at)
values ($1, $2, $3, 't', $4, $5, $6, 0, $7, $8, $9, $10)
"""
TICK = "insert into scheduler.ticks (schedule_id, due_at, run_id, fired_at) values ($1, $2, $3, $2)"


def milliseconds(count: float) -> timedelta:
    """So long."""
    return timedelta(milliseconds=count)


@dataclass(frozen=True, slots=True)
class Chains:
    """Writes as superuser."""

    connection: asyncpg.Connection
    begins: datetime

    async def accepted(self, status: str = "accepted", seconds: float = 300) -> UUID:
        """A request that api took; its deadline is so many seconds later."""
        id_ = uuid7(int(self.begins.timestamp() * 1000))
        trail = msgspec.json.encode(ACCEPTED).decode()
        deadline = self.begins + timedelta(seconds=seconds)
        await self.connection.execute(REQUEST, id_, TENANT, KEY, status, trail, self.begins, deadline)
        return id_

    async def generation(
        self,
        id_: UUID,
        outcome: str = "succeeded",
        attempt: int = 1,
        decisions: Iterable[Decision] = (),
        error: str = "",
    ) -> None:
        """Inference's row."""
        ended = outcome != "running"
        claims = [Decision("claim", f"attempt {n}", f"inference-{n}") for n in range(2, attempt + 1)]
        routed = [Decision("route", "sim:fast", "provider sim", 7), Decision("generate", outcome, error)]
        trail = [*claims, *(decisions or ACCEPTED), *(routed if ended else [])]
        times = [self.begins + milliseconds(n) if ended else None for n in (10, 30, 60)]
        given = (outcome, attempt, error, SECRET, msgspec.json.encode(trail).decode(), self.begins)
        deadline = self.begins + timedelta(seconds=300)
        await self.connection.execute(GENERATION, id_, TENANT, KEY, *given, deadline, *times)

    async def ended(
        self, outcome: str = "succeeded", attempt: int = 1, decisions: Iterable[Decision] = (), trace_id: str = ""
    ) -> UUID:
        """A request that ended, was charged, and whose events were handled by all."""
        id_ = await self.accepted()
        await self.connection.execute("update api.requests set status = $2 where request_id = $1", id_, outcome)
        await self.generation(id_, outcome, attempt, decisions)
        headers = self.headers(id_, trace_id)
        completed = self.event(60, COMPLETED, "inference", headers, message_id=f"{id_}.completed")
        usage = headers | {"penstock-causation": completed.message_id}
        await insert(self.connection, [completed, self.event(90, USAGE, "billing", usage, message_id=f"{id_}.usage")])
        for consumer in ("api-on-generation-completed", "billing-on-generation-completed"):
            await self.handled(consumer, completed.message_id)
        given = (str(id_), id_, attempt, TENANT, KEY, self.begins, f"customer:{TENANT}")
        await self.connection.execute(ENTRY, uuid7(), *given)
        return id_

    async def run(
        self, state: str = "succeeded", trace_id: str = "c" * 32, trigger: str = "schedule", source: str = ""
    ) -> UUID:
        """A run with its order."""
        id_ = uuid7(int(self.begins.timestamp() * 1000))
        parent = f"00-{trace_id}-{'d' * 16}-01"
        ended = self.begins + milliseconds(200) if state in ("succeeded", "failed", "cancelled") else None
        given = (SECRET, trigger, source, state, parent, self.begins + milliseconds(5), ended)
        await self.connection.execute(RUN, id_, TENANT, KEY, *given)
        order = self.event(
            1, "cmd.worker.run.start.v1", "scheduler", {"ce-subject": str(id_)}, message_id=f"{id_}.start"
        )
        await insert(self.connection, [order])
        await self.handled("worker-start-run", order.message_id)
        if trigger == "schedule":
            await self.connection.execute(TICK, uuid7(), self.begins, id_)
        return id_

    async def handled(self, consumer: str, message_id: str) -> None:
        """An inbox row."""
        service = consumer.partition("-")[0]
        statement = f"insert into {service}.inbox (day, consumer, message_id, fingerprint) values ($1, $2, $3, '')"
        await self.connection.execute(statement, day_of(message_id), consumer, message_id)

    def event(self, after: float, subject: str, service: str, headers: dict[str, str], **given: Any) -> StoredEvent:
        """An event so many milliseconds after the beginning."""
        return an_event(self.begins + milliseconds(after), subject, service, headers, **given)

    def headers(self, id_: UUID, trace_id: str = "") -> dict[str, str]:
        """Of what is about a request."""
        traced = {"traceparent": f"00-{trace_id}-{'e' * 16}-01"} if trace_id else {}
        return {"penstock-correlation": str(id_), "ce-subject": str(id_), **traced}


def now() -> datetime:
    """In UTC."""
    return datetime.now(UTC)
