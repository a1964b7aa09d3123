"""Worker put together: the only place where its parts are made."""

from typing import Any

from starlette.applications import Starlette

from penstock_common.foundation import Foundation
from penstock_common.messaging.runtime import Runtime
from penstock_common.ops import ops_routes
from penstock_common.topology import PLATFORM
from penstock_worker.settings import Settings
from penstock_worker.subscribers import Deps, router


class App:
    """One worker process."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.started = settings, False
        self.foundation = Foundation("worker", settings)
        deps = Deps(self.foundation.database)
        self.runtime = Runtime(self.foundation.bus, PLATFORM, router, deps)
        self.asgi: Any = Starlette(routes=ops_routes(self.checks))

    async def connect(self) -> None:
        """Reach the bus and the schema; may be repeated."""
        await self.foundation.connect()

    async def start(self) -> None:
        """Relay and receive."""
        await self.foundation.start()
        await self.runtime.start()
        self.started = True

    async def stop(self) -> None:
        """Receive no more, end what runs, publish what it said, disconnect."""
        await self.runtime.stop(self.settings.stop_grace)
        await self.foundation.stop()

    async def checks(self) -> dict[str, bool]:
        """Whether each dependency answers now."""
        return {"started": self.started} | await self.foundation.checks()


def build(settings: Settings) -> App:
    """A process from its settings."""
    return App(settings)
