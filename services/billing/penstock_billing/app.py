"""Billing put together: the only place where its parts are made."""

from typing import Any

from starlette.applications import Starlette

from penstock_billing.adapters.answers import usage_answer
from penstock_billing.adapters.books import SqlDeps
from penstock_billing.adapters.usage import SqlUsage
from penstock_billing.settings import Settings
from penstock_billing.subscribers import router
from penstock_common.db.heads import require_schema
from penstock_common.db.partitions import Partitions
from penstock_common.db.relay import Relay
from penstock_common.db.transaction import Database
from penstock_common.messaging.connect import make_bus
from penstock_common.messaging.ports import Subscription
from penstock_common.messaging.runtime import Runtime
from penstock_common.ops import ops_routes
from penstock_common.topology import PLATFORM, READ_USAGE


class App:
    """One billing process."""

    def __init__(self, settings: Settings) -> None:
        self.grace = settings.stop_grace
        self.url = settings.database.url.get_secret_value()
        self.bus = make_bus(settings.bus.url.get_secret_value(), "billing")
        self.database = Database(self.url, "billing", PLATFORM, pool_size=settings.database.pool_size)
        self.partitions = Partitions(self.database)
        self.relay = Relay(self.database, self.bus, "billing")
        self.runtime = Runtime(self.bus, PLATFORM, router, SqlDeps(self.database))
        self.answering: Subscription | None = None
        self.started = False
        self.asgi: Any = Starlette(routes=ops_routes(self.checks))

    async def connect(self) -> None:
        """Reach the bus and the schema; may be repeated."""
        if not self.bus.connected:
            await self.bus.connect()
        await require_schema(self.url, "billing")

    async def start(self) -> None:
        """Relay, answer and receive."""
        await self.partitions.start()
        await self.relay.start()
        self.answering = await self.bus.answer(READ_USAGE, usage_answer(SqlUsage(self.database)))
        await self.runtime.start()
        self.started = True

    async def stop(self) -> None:
        """Receive no more, end what runs, publish what it said, disconnect."""
        if self.answering:
            await self.answering.stop()
        await self.runtime.stop(self.grace)
        await self.relay.stop()
        await self.partitions.stop()
        await self.bus.close()
        await self.database.close()

    async def checks(self) -> dict[str, bool]:
        """Whether each dependency answers now."""
        return {"started": self.started, "bus": self.bus.connected, "database": await self.database.reachable()}


def build(settings: Settings) -> App:
    """A process from its settings."""
    return App(settings)
