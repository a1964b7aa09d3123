"""A platform's databases and bus with what was said in them, billing at work, and somebody who listens."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from penstock.events.choosing import Choice
from penstock.replay.begin import Wanted, begun
from penstock.replay.kept import ActFile, Kept
from penstock.replay.run import Places
from penstock_billing.subscribers import router as billing_router
from penstock_common.contracts.base import Contract
from penstock_common.contracts.generation import GenerationCompleted
from penstock_common.db.transaction import Database
from penstock_common.messaging.connect import connect_bus
from penstock_common.messaging.envelope import MESSAGE_ID, REPLAY
from penstock_common.messaging.ports import Bus, Incoming
from penstock_common.messaging.runtime import Runtime
from penstock_common.topology import PLATFORM
from tests.support.billing import Billing, a_completion, billing_process, id_of
from tests.support.databases import Databases, execute

PART = replace(PLATFORM, consumers=tuple(row for row in PLATFORM.consumers if row.service in ("api", "billing")))
"""What these tests need of the topology."""
TO_BILLING = PLATFORM.consumer("billing", "on_generation_completed")
TO_API = PLATFORM.consumer("api", "on_generation_completed")


@dataclass
class Stage:
    """One platform."""

    databases: Databases
    bus_url: str
    folder: Path
    bus: Bus
    billing: Billing
    heard: Counter[tuple[str, str]] = field(default_factory=Counter)
    """How often api's lane was given a message of an act: (act, message id)."""

    @property
    def places(self) -> Places:
        """As an operator names them."""
        return Places(self.databases.audit, self.bus_url)

    async def said(self, *events: Contract, published: bool = True) -> list[str]:
        """Write events into inference's outbox; gives their message ids."""
        inference = Database(self.databases.services["inference"], "inference", PLATFORM)
        try:
            async with inference.transaction() as tx:
                for event in events:
                    tx.publish(event, message_id=id_of(event))
        finally:
            await inference.close()
        if published:
            await execute(self.databases.admin, "update inference.outbox set published_at = now()")
        return [id_of(event) for event in events]

    def act(self, ids: Sequence[str], **wanted: object) -> tuple[ActFile, Kept]:
        """A new act about these messages."""
        given = Wanted(Choice(ids=tuple(ids)), **wanted)  # type: ignore[arg-type]
        return begun(given, self.folder, None)

    async def charged(self, events: Sequence[GenerationCompleted]) -> list[int]:
        """How many entries each request has in the customers' book."""
        statement = "select count(*) from billing.entries where book = 'customer' and request_id = :id"
        return [(await self.billing.fetch(statement, id=event.request_id))[0] for event in events]

    async def until_charged(self, events: Sequence[GenerationCompleted]) -> None:
        """Wait until each is charged."""
        async with asyncio.timeout(20):
            while min(await self.charged(events)) < 1:
                await asyncio.sleep(0.05)

    @contextlib.asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        """Billing handles what comes, and api's lane is listened to."""
        runtime = Runtime(self.bus, PART, billing_router, self.billing.deps)
        await runtime.start()
        listening = await self.bus.pull(TO_API, self._hear)
        yield
        await listening.stop()
        await runtime.stop()

    async def _hear(self, message: Incoming) -> None:
        self.heard[message.headers.get(REPLAY, ""), message.headers[MESSAGE_ID]] += 1
        await self.bus.settler.ack(message)


@contextlib.asynccontextmanager
async def staged(databases: Databases, bus_url: str, folder: Path) -> AsyncIterator[Stage]:
    """A platform whose bus has the topology's part."""
    bus = await connect_bus(bus_url, "test")
    async with billing_process(databases.services["billing"]) as billing:
        yield Stage(databases, bus_url, folder, bus, billing)
    await bus.close()


def completions(count: int) -> list[GenerationCompleted]:
    """Ends of so many requests."""
    return [a_completion() for _ in range(count)]
