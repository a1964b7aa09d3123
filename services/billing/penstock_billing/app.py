"""Billing put together: the only place where its parts are made."""

from typing import Any

from starlette.applications import Starlette

from penstock_billing.adapters.answers import usage_answer
from penstock_billing.adapters.books import SqlDeps
from penstock_billing.adapters.usage import SqlUsage
from penstock_billing.settings import Settings
from penstock_billing.subscribers import router
from penstock_common.foundation import Foundation
from penstock_common.messaging.ports import Subscription
from penstock_common.messaging.runtime import Runtime
from penstock_common.ops import ops_routes
from penstock_common.topology import PLATFORM, READ_USAGE


class App:
    """One billing process."""

    def __init__(self, settings: Settings) -> None:
        self.grace = settings.stop_grace
        self.foundation = Foundation("billing", settings)
        self.bus, self.database = self.foundation.bus, self.foundation.database
        self.runtime = Runtime(self.bus, PLATFORM, router, SqlDeps(self.database))
        self.answering: Subscription | None = None
        self.started = False
        self.asgi: Any = Starlette(routes=ops_routes(self.checks))

    async def connect(self) -> None:
        """Reach the bus and the schema; may be repeated."""
        await self.foundation.connect()

    async def start(self) -> None:
        """Relay, answer and receive."""
        await self.foundation.start()
        self.answering = await self.bus.answer(READ_USAGE, usage_answer(SqlUsage(self.database)))
        await self.runtime.start()
        self.started = True

    async def stop(self, grace: float | None = None) -> None:
        """Receive no more, end what runs, publish what it said, disconnect."""
        if self.answering:
            await self.answering.stop()
        await self.runtime.stop(self.grace if grace is None else grace)
        await self.foundation.stop()

    async def checks(self) -> dict[str, bool]:
        """Whether each dependency answers now."""
        return {"started": self.started} | await self.foundation.checks()


def build(settings: Settings) -> App:
    """A process from its settings."""
    return App(settings)
