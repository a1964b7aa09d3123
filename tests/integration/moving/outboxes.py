"""Outboxes, inboxes and dead letters as services would have left them."""

import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg

from penstock_common.contracts.base import Contract
from penstock_common.db.outbox import COLUMNS, OutboxRow
from penstock_common.ids import day_of, uuid7
from penstock_common.messaging.envelope import envelop
from penstock_common.topology import PLATFORM

INSERT = "insert into {}.outbox ({}, published_at) values ($1, $2, $3, $4, $5, $6, $7, $8)"
BURY = """
insert into api.dead_letters (id, identity, consumer, subject, message_id, code, reason, attempts, story, headers,
    body, first_failed_at, last_failed_at, collected_at, changed_at, act_id, state)
values ($1, $2, $3, 'any', $4, 'any', 'any', 1, '{}', '{}', '', now(), now(), now(), now(), $1, $5)
"""
GENERATE = """
insert into inference.generations (request_id, attempt, outcome, tenant, key_id, model, streamed, lane, accepted_at,
    deadline)
values ($1, 2, $2, $3, $3, 'any', false, 'batch', now(), now())
"""


@dataclass
class Outboxes:
    """One database, entered as superuser."""

    connection: asyncpg.Connection

    async def said(
        self, service: str, message: Contract, *, age: timedelta = timedelta(), suffix: str = "", relayed: bool = True
    ) -> str:
        """A message that a service said so long ago; returns its id."""
        at = int((time.time() - age.total_seconds()) * 1000)
        id_ = f"{uuid7(at)}{suffix}"
        row = OutboxRow(uuid7(at), envelop(message, PLATFORM.topic(type(message)), message_id=id_))
        values: list[Any] = list(row.values)
        statement = INSERT.format(service, ", ".join(COLUMNS))
        await self.connection.execute(statement, *values, datetime.now(UTC) if relayed else None)
        return id_

    async def handled(self, consumer: str, *ids: str) -> None:
        """A consumer's word that it is done with messages."""
        service = consumer.partition("-")[0]
        statement = f"insert into {service}.inbox (day, consumer, message_id, fingerprint) values ($1, $2, $3, '')"
        await self.connection.executemany(statement, [(day_of(id_), consumer, id_) for id_ in ids])

    async def buried(self, consumer: str, id_: str, state: str = "waiting") -> None:
        """A dead letter of a message."""
        await self.connection.execute(BURY, uuid7(), json.dumps([consumer, id_]).encode(), consumer, id_, state)

    async def generated(self, request_id: str, outcome: str) -> None:
        """The row of a request that a process claimed, or that ended."""
        await self.connection.execute(GENERATE, UUID(request_id), outcome, uuid7())
