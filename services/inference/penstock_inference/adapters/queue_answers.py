"""Tells where in the queue a request stands, and where the next one would."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from penstock_common.clock import Clock
from penstock_common.contracts.base import decode, encode
from penstock_common.contracts.generation import GenerationState
from penstock_common.contracts.queueing import QueueReport, ReadQueue
from penstock_common.db.transaction import Database
from penstock_common.messaging.ports import Bus, Subscription
from penstock_common.topology import READ_QUEUE
from penstock_inference.adapters.hearing import silent
from penstock_inference.adapters.queue import Kept, shares
from penstock_inference.adapters.queue_statements import CLOCK, FIND
from penstock_inference.domain.queue import Limits, Pace, Share, position

QUEUED = "queued"


@dataclass(frozen=True, slots=True)
class QueueAnswers:
    """Answers questions about the queue."""

    bus: Bus
    database: Database
    clock: Clock
    limits: Limits
    _subscriptions: list[Subscription] = field(default_factory=list)

    async def start(self) -> None:
        """Begin to answer."""
        self._subscriptions.append(await self.bus.answer(READ_QUEUE, silent(self._read)))

    async def stop(self) -> None:
        """Answer no more."""
        for subscription in self._subscriptions:
            await subscription.stop()

    async def find(self, request_id: UUID) -> GenerationState | None:
        """A request that waits; None for any other. Raises DatabaseUnavailable."""
        async with self.database.reading() as connection:
            row = (await connection.execute(FIND, {"id": request_id})).one_or_none()
            if row is None:
                return None
            place, wait = await self._place(connection, await shares(connection), row.tenant, row.ahead)
        kept = msgspec.msgpack.decode(bytes(row.about), type=Kept)
        return GenerationState(
            request_id=request_id,
            outcome=QUEUED,
            about=kept.about,
            decisions=kept.decisions,
            position=place,
            expected_wait_seconds=wait,
        )

    async def _read(self, body: bytes) -> bytes:
        tenant = decode(ReadQueue, body).tenant
        async with self.database.reading() as connection:
            known = await shares(connection)
            own = next((share.waiting for share in known if share.tenant == tenant), 0)
            place, wait = await self._place(connection, known, tenant, own)
        total = sum(share.waiting for share in known)
        report = QueueReport(
            position=place,
            waiting=total,
            tenant_waiting=own,
            room=self.limits.room(own, total),
            expected_wait_seconds=wait,
        )
        return encode(report)

    async def _place(
        self, connection: AsyncConnection, known: Sequence[Share], tenant: UUID, ahead: int
    ) -> tuple[int, float | None]:
        """The place of a request with so many of its tenant before it, and how long it will wait, in seconds."""
        own = next((share for share in known if share.tenant == tenant), Share(tenant, 0))
        clock = (await connection.execute(CLOCK)).one()
        place = position(own, ahead, (share for share in known if share.tenant != tenant), clock.virtual)
        pace = Pace(clock.ended, clock.since, clock.measured_at)
        return place, pace.seconds_for(place, self.clock.now())
