"""Scheduler put together: the only place where its parts are made."""

from typing import Any

from starlette.applications import Starlette

from penstock_common.clock import Clock, SystemClock
from penstock_common.foundation import Foundation
from penstock_common.messaging.ports import Subscription
from penstock_common.messaging.runtime import Runtime
from penstock_common.ops import ops_routes
from penstock_common.sealing import LocalKeyring, Sealer
from penstock_common.topology import PLATFORM, PREVIEW_TIMING, READ_SCHEDULES
from penstock_scheduler.adapters.answers import preview_answer, schedules_answer
from penstock_scheduler.adapters.claims import SqlSchedules
from penstock_scheduler.adapters.inputs import Inputs
from penstock_scheduler.adapters.memory import make_memory
from penstock_scheduler.adapters.register import SqlDeps, SqlReader
from penstock_scheduler.settings import Settings
from penstock_scheduler.subscribers import router
from penstock_scheduler.ticking.ticker import LONGEST_SLEEP, Ticker


class App:
    """One scheduler process; several on the same servers share the work."""

    def __init__(self, settings: Settings, clock: Clock | None = None, longest_sleep: float = LONGEST_SLEEP) -> None:
        self.settings, self.started = settings, False
        self.clock = clock or SystemClock()
        self.foundation = Foundation("scheduler", settings)
        database = self.foundation.database
        self.inputs = Inputs(Sealer(LocalKeyring(settings.keyring.path)))
        schedules = SqlSchedules(database, self.inputs)
        self.ticker = Ticker(schedules, self.clock, longest_sleep)
        self.memory = make_memory(schedules, self.clock)
        self.runtime = Runtime(self.foundation.bus, PLATFORM, router, SqlDeps(database, self.ticker.nudge))
        self.answering: list[Subscription] = []
        self.asgi: Any = Starlette(routes=ops_routes(self.checks))

    async def connect(self) -> None:
        """Reach the bus and the schema; may be repeated."""
        await self.foundation.connect()

    async def start(self) -> None:
        """Relay, answer, tick and receive."""
        await self.foundation.start()
        bus = self.foundation.bus
        reader = SqlReader(self.foundation.database, self.inputs)
        self.answering.append(await bus.answer(PREVIEW_TIMING, preview_answer(self.clock)))
        self.answering.append(await bus.answer(READ_SCHEDULES, schedules_answer(reader)))
        self.ticker.start()
        self.memory.start()
        await self.runtime.start()
        self.started = True

    async def stop(self, grace: float | None = None) -> None:
        """Tick and receive no more, end what runs, publish what it said, disconnect."""
        for subscription in self.answering:
            await subscription.stop()
        await self.ticker.stop()
        await self.memory.stop()
        await self.runtime.stop(self.settings.stop_grace if grace is None else grace)
        await self.foundation.stop()

    async def checks(self) -> dict[str, bool]:
        """Whether each dependency answers now, and the loop turns."""
        return {"started": self.started, "ticking": self.ticker.is_alive} | await self.foundation.checks()


def build(settings: Settings) -> App:
    """A process from its settings."""
    return App(settings)
