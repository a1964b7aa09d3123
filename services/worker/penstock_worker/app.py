"""Worker put together: the only place where its parts are made."""

from typing import Any

from starlette.applications import Starlette

from penstock_common.asking import Asker
from penstock_common.clock import SystemClock
from penstock_common.contracts.base import decode
from penstock_common.contracts.runs import CancelRun
from penstock_common.foundation import Foundation
from penstock_common.guarded_http import GuardedHttp, Policy
from penstock_common.messaging.ports import Subscription
from penstock_common.messaging.runtime import Runtime
from penstock_common.ops import ops_routes
from penstock_common.sealing import LocalKeyring, Sealer
from penstock_common.topology import CANCEL_RUN, PLATFORM
from penstock_worker.adapters.intake import SqlIntake
from penstock_worker.adapters.queries import BusQueries, answer_queries
from penstock_worker.adapters.runs import SqlRuns
from penstock_worker.adapters.seals import Seals
from penstock_worker.adapters.shown import Shown
from penstock_worker.ports import Claimed
from penstock_worker.running.execution import Execution
from penstock_worker.running.pool import Pool, Timing
from penstock_worker.running.registry import Means, make_runners
from penstock_worker.settings import Settings
from penstock_worker.subscribers import Deps, router


class App:
    """One worker process."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.started = settings, False
        self.foundation = Foundation("worker", settings)
        bus, database, clock = self.foundation.bus, self.foundation.database, SystemClock()
        sealer = Sealer(LocalKeyring(settings.keyring.path))
        self.asker = Asker("worker", bus, sealer, clock)
        seals = Seals(sealer)
        self.store, self.shown = SqlRuns(database, seals), Shown(database, seals)
        http = GuardedHttp(Policy.of(settings.tools.allow))
        self.runners = make_runners(Means(http, BusQueries(bus), sealer, clock))
        self.pool = Pool(self.asker.process, self.store, self._begin, settings.concurrency, Timing())
        deps = Deps(database, SqlIntake(seals), self.pool.nudge)
        self.runtime = Runtime(bus, PLATFORM, router, deps)
        self.subscriptions: list[Subscription] = []
        self.asgi: Any = Starlette(routes=ops_routes(self.checks))

    async def connect(self) -> None:
        """Reach the bus and the schema; may be repeated."""
        await self.foundation.connect()

    async def start(self) -> None:
        """Relay, answer, carry out runs and receive."""
        await self.foundation.start()
        await self.asker.start()
        bus = self.foundation.bus
        self.subscriptions = [await bus.listen(CANCEL_RUN, self._cancel), *await answer_queries(bus, self.shown)]
        self.pool.start()
        await self.runtime.start()
        self.started = True

    async def stop(self, grace: float | None = None) -> None:
        """Receive no more, let go of what runs, publish what it said, disconnect."""
        for subscription in self.subscriptions:
            await subscription.stop()
        await self.runtime.stop(self.settings.stop_grace if grace is None else grace)
        await self.pool.stop()
        await self.asker.stop()
        await self.foundation.stop()

    async def checks(self) -> dict[str, bool]:
        """Whether each dependency answers now."""
        return {"started": self.started} | await self.foundation.checks()

    def _begin(self, held: Claimed) -> Execution:
        return Execution(held, self.store, self.asker, self.runners)

    async def _cancel(self, body: bytes) -> None:
        command = decode(CancelRun, body, CANCEL_RUN.wire)
        self.pool.cancel(command.run_id, command.tenant, command.reason)


def build(settings: Settings) -> App:
    """A process from its settings."""
    return App(settings)
