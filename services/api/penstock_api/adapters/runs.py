"""Runs: ordered through the outbox, read by query over the bus."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import msgspec

from penstock_api.adapters.idempotency import CLAIM, KNOWN
from penstock_api.adapters.run_watch import RunWatch
from penstock_api.adapters.worker_queries import ask_worker
from penstock_api.domain.idempotency import IdempotencyKeyReused
from penstock_api.domain.run_orders import RunNotFound, is_fresh
from penstock_api.ports.runs import RunWish
from penstock_common.clock import Clock
from penstock_common.contracts.runs import CancelRun, ListRuns, ReadRun, RunList, RunReport, RunState, StartRun, Trigger
from penstock_common.db.transaction import Database, Transaction
from penstock_common.errors import BusUnavailable, NoAnswer
from penstock_common.ids import uuid7
from penstock_common.messaging.ports import Bus
from penstock_common.sealing import Sealer

PATIENCE = 2.0  # seconds to wait until worker heard of an order
POLL = 0.05  # seconds
OPEN = (RunState.QUEUED, RunState.RUNNING)


@dataclass(frozen=True, slots=True)
class RunOrders:
    """Implements `Runs`."""

    database: Database
    bus: Bus
    sealer: Sealer
    clock: Clock
    watch: RunWatch

    async def start(self, wish: RunWish) -> UUID:
        """See `Runs`."""
        run_id = uuid7()
        content = msgspec.json.encode({"task": wish.declaration, "input": wish.input}, order="sorted")
        command = StartRun(
            run_id=run_id,
            tenant=wish.tenant,
            key_id=wish.key_id,
            trigger=Trigger.API,
            task=wish.task,
            depth=wish.depth,
            sealed=self.sealer.seal(wish.tenant, str(run_id), content),
        )
        async with self.database.transaction() as tx:
            if wish.idempotency_key:
                run_id = await self._claimed(tx, wish, command, content)
            if run_id == command.run_id:
                tx.publish(command, message_id=f"{run_id}.start")
        return run_id

    async def read(self, tenant: UUID, run_id: UUID, after: int = 0, limit: int = 1) -> RunReport:
        """See `Runs`."""
        question = ReadRun(run_id=run_id, tenant=tenant, after=after, limit=limit)
        report = await ask_worker(self.bus, question, RunReport)
        if report.run is None and is_fresh(run_id, self.clock.now()):
            report = await self._until(question, lambda report: report.run is not None) or report
        if report.run is None:
            raise RunNotFound
        return report

    async def page(self, tenant: UUID, before: UUID | None, limit: int, task: str) -> RunList:
        """See `Runs`."""
        return await ask_worker(self.bus, ListRuns(tenant=tenant, before=before, limit=limit, task=task), RunList)

    async def cancel(self, tenant: UUID, run_id: UUID) -> RunReport:
        """See `Runs`."""
        report = await self.read(tenant, run_id)
        if _has_ended(report):
            return report
        async with self.database.transaction() as tx:
            tx.publish(CancelRun(run_id=run_id, tenant=tenant, reason="cancelled by its owner"))
        question = ReadRun(run_id=run_id, tenant=tenant, limit=1)
        return (
            await self._until(question, lambda shown: shown.run is not None and shown.run.state not in OPEN) or report
        )

    def watching(self, run_id: UUID) -> AbstractContextManager[asyncio.Event]:
        """See `Runs`."""
        return self.watch.watching(run_id)

    async def _until(self, question: ReadRun, met: Callable[[RunReport], bool]) -> RunReport | None:
        """What worker shows once a condition holds; None where it does not in time."""
        with suppress(TimeoutError, BusUnavailable, NoAnswer):
            async with asyncio.timeout(PATIENCE):
                while True:
                    report = await ask_worker(self.bus, question, RunReport)
                    if met(report):
                        return report
                    await asyncio.sleep(POLL)
        return None

    async def _claimed(self, tx: Transaction[Any], wish: RunWish, command: StartRun, content: bytes) -> UUID:
        """The id of the run that an idempotency key stands for. Raises IdempotencyKeyReused."""
        place = {"tenant": wish.tenant, "key_mac": self.sealer.mac(wish.tenant, f"run:{wish.idempotency_key}".encode())}
        body_mac = self.sealer.mac(wish.tenant, wish.task.encode() + b"\0" + content)
        given = place | {"body_mac": body_mac, "request_id": command.run_id}
        if (await tx.connection.execute(CLAIM, given)).one_or_none():
            return command.run_id
        known = (await tx.connection.execute(KNOWN, place)).one_or_none()
        if known is None or known.body_mac != body_mac:
            raise IdempotencyKeyReused
        run_id: UUID = known.request_id
        return run_id


def _has_ended(report: RunReport) -> bool:
    return report.run is not None and report.run.state not in OPEN
