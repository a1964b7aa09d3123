"""`Records` on PostgreSQL: the row of `inference.generations` that decides how a request ended."""

import asyncio
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from penstock_common.contracts.base import Decision
from penstock_common.contracts.generation import (
    About,
    CancelGeneration,
    GenerateText,
    GenerationState,
    Measure,
    Tokens,
)
from penstock_common.contracts.stream import Frame, pack, unpack
from penstock_common.db.outbox import OutboxRow
from penstock_common.db.transaction import Database
from penstock_common.errors import SubjectErased
from penstock_common.ids import text_of, uuid7
from penstock_common.messaging.envelope import CONTEXT, Context, envelop
from penstock_common.sealing import Sealer
from penstock_common.tracing.spans import Kind, leaf
from penstock_inference.adapters.end_writer import EndWriter, Entry
from penstock_inference.adapters.statements import CANCELLED, CLAIM, CONFIRM, MARK_CANCELLED, READ
from penstock_inference.domain.ending import End, Place, attempt_costed, request_key
from penstock_inference.generating.ports import Recorded

AT_ONCE = 3  # statements beside the ends', which need connections of their own; the others wait for their turn
LARGE_ANSWER = 256 * 1024  # bytes; opening more than that would hold up the loop
WRITTEN = {
    "db.system.name": "postgresql",
    "db.operation.name": "INSERT",
    "db.collection.name": "inference.generations",
}


class Generations:
    """Implements `Records`."""

    def __init__(self, database: Database, writer: EndWriter, sealer: Sealer) -> None:
        self.database, self.writer, self.sealer = database, writer, sealer
        self._turns = asyncio.Semaphore(AT_ONCE)

    @property
    def stalled(self) -> bool:
        """Whether the database has not answered lately."""
        return self.writer.stalled

    async def finish(self, end: End) -> bool:
        """Record an end; True if it is the one that counts."""
        entry = Entry(self._columns(end), self._said(end))
        with leaf("INSERT inference.generations", Kind.CLIENT, WRITTEN):
            return await self.writer.write(entry)

    def _said(self, end: End) -> OutboxRow:
        fact = end.completed()
        topic = self.database.topology.topic(type(fact))
        message_id = f"{text_of(fact.request_id)}.completed"
        return OutboxRow(uuid7(), envelop(fact, topic, message_id=message_id, context=context_of(end.command)))

    def _columns(self, end: End) -> dict[str, Any]:
        c, tokens, place = end.command, end.tokens, end.place
        return {
            "request_id": c.request_id,
            "attempt": end.attempt,
            "outcome": end.outcome.value,
            "nonce": uuid7(),
            "tenant": c.tenant,
            "key_id": c.key_id,
            "model": place.model,
            "asked": c.asked,
            "deployment": place.deployment,
            "provider": place.provider,
            "price_version": place.price_version,
            "streamed": c.streamed,
            "includes_usage": c.includes_usage,
            "lane": c.lane,
            "prompt_tokens": tokens.prompt,
            "completion_tokens": tokens.completion,
            "cached_tokens": tokens.cached,
            "reasoning_tokens": tokens.reasoning,
            "measure": tokens.measure.value,
            "error_code": end.failure.code if end.failure else "",
            "sealed": self._seal(end),
            "accepted_at": c.accepted_at,
            "deadline": c.deadline,
            "started_at": end.started_at,
            "first_token_at": end.first_token_at,
            "ended_at": end.ended_at,
            "decisions": msgspec.json.encode([*c.decisions, *end.decisions]).decode(),
        }

    def _seal(self, end: End) -> bytes | None:
        try:
            return self.sealer.seal(end.command.tenant, request_key(end.command.request_id), pack(end.frames))
        except SubjectErased:
            return None

    async def claim(self, command: GenerateText, process: str) -> int | None:
        """Take over: the new attempt's number, or None where the request ended already."""
        async with self._turns, self.database.transaction() as tx:
            attempt: int | None = await tx.connection.scalar(CLAIM, running(command, process))
            if attempt is not None:
                tx.publish(self._lost(command, attempt - 1), message_id=f"{command.request_id}.{attempt - 1}.lost")
            return attempt

    def _lost(self, command: GenerateText, attempt: int) -> Any:
        """A lost attempt took its numbers with it: it is booked as estimated, and nobody is charged."""
        unknown = Tokens(measure=Measure.ESTIMATED)
        return attempt_costed(command, attempt, Place(command.model), unknown, command.accepted_at)

    async def confirm(self, command: GenerateText, attempt: int, process: str) -> bool:
        """Whether this attempt is still the newest."""
        async with self._turns, self.database.reading() as connection:
            known = await connection.scalar(CONFIRM, running(command, process) | {"attempt": attempt})
        return known is not None

    async def read(self, request_id: UUID, *, with_answer: bool = True) -> Recorded | None:
        """The row, its answer opened where it is asked for; an erased answer reads as none."""
        rows = await self._rows([request_id], with_answer=with_answer)
        if not rows:
            return None
        row = rows[0]
        frames = await self._opened(request_id, row["sealed"]) if row["sealed"] else []
        is_kept = bool(frames) if with_answer else row["is_kept"]
        return Recorded(state_of(row, is_kept=is_kept), frames)

    async def states(self, request_ids: Sequence[UUID]) -> dict[UUID, GenerationState]:
        """What the rows say that are there."""
        rows = await self._rows(request_ids, with_answer=False)
        return {row["request_id"]: state_of(row, is_kept=row["is_kept"]) for row in rows}

    async def _rows(self, request_ids: Sequence[UUID], *, with_answer: bool) -> list[asyncpg.Record]:
        async with self._turns, self.database.driver() as driver:
            return list(await driver.fetch(READ, request_ids, with_answer))

    async def _opened(self, request_id: UUID, sealed: bytes) -> list[Frame]:
        """The frames of an answer; a large one is opened beside the loop."""
        try:
            if len(sealed) < LARGE_ANSWER:
                return self._unsealed(request_id, sealed)
            return await asyncio.to_thread(self._unsealed, request_id, sealed)
        except SubjectErased:
            return []

    def _unsealed(self, request_id: UUID, sealed: bytes) -> list[Frame]:
        return unpack(self.sealer.open(request_key(request_id), sealed))

    async def is_cancelled(self, request_id: UUID) -> bool:
        """Whether a stop was asked for."""
        async with self._turns, self.database.reading() as connection:
            return await connection.scalar(CANCELLED, {"id": request_id}) is True

    async def cost(self, end: End) -> None:
        """Book what a losing attempt cost."""
        async with self._turns, self.database.transaction() as tx:
            tx.publish(end.costed(), message_id=f"{end.command.request_id}.{end.attempt}.costed")


class Cancellations:
    """Implements `Stops`."""

    async def mark(self, connection: AsyncConnection, cancel: CancelGeneration) -> None:
        """Remember a stop; the first reason stays."""
        given = {"id": cancel.request_id, "tenant": cancel.tenant, "reason": cancel.reason}
        await connection.execute(MARK_CANCELLED, given)


def running(command: GenerateText, process: str) -> dict[str, Any]:
    """The columns of a row that says: somebody is at it."""
    return {
        "request_id": command.request_id,
        "owner": process,
        "tenant": command.tenant,
        "key_id": command.key_id,
        "model": command.model,
        "asked": command.asked,
        "streamed": command.streamed,
        "includes_usage": command.includes_usage,
        "lane": command.lane,
        "accepted_at": command.accepted_at,
        "deadline": command.deadline,
        "decisions": msgspec.json.encode(command.decisions).decode(),
    }


def state_of(row: asyncpg.Record, *, is_kept: bool) -> GenerationState:
    """What a row of `READ` says."""
    ended = row["outcome"] != "running"
    return GenerationState(
        request_id=row["request_id"],
        outcome=row["outcome"],
        attempt=row["attempt"],
        about=about_of(row),
        tokens=tokens_of(row) if ended else None,
        error_code=row["error_code"],
        started_at=row["started_at"],
        first_token_at=row["first_token_at"],
        ended_at=row["ended_at"],
        decisions=msgspec.json.decode(row["decisions"], type=list[Decision]),
        is_kept=is_kept,
    )


def about_of(row: asyncpg.Record) -> About:
    """What a row of `READ` says of its request."""
    return About(
        tenant=row["tenant"],
        key_id=row["key_id"],
        model=row["model"],
        asked=row["asked"] or row["model"],
        streamed=row["streamed"],
        includes_usage=row["includes_usage"],
        accepted_at=row["accepted_at"],
        deadline=row["deadline"],
        lane=row["lane"],
    )


def tokens_of(row: asyncpg.Record) -> Tokens:
    """The tokens that a row of `READ` charges."""
    return Tokens(
        row["prompt_tokens"],
        row["completion_tokens"],
        row["cached_tokens"],
        row["reasoning_tokens"],
        Measure(row["measure"]),
    )


def context_of(command: GenerateText) -> Context:
    """The facts about a request correlate by its id."""
    inherited = CONTEXT.get()
    return Context(
        tenant=text_of(command.tenant),
        correlation=text_of(command.request_id),
        causation=inherited.causation,
        traceparent=inherited.traceparent,
    )
