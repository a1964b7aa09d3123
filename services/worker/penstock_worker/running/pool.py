"""The runs that this process carries out, as many at once as it may."""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

import structlog

from penstock_common.errors import BusUnavailable, DatabaseUnavailable
from penstock_common.messaging.deadletter import describe
from penstock_worker.domain.errors import Parked, Superseded
from penstock_worker.ports import Claimed, RunStore
from penstock_worker.running import metrics
from penstock_worker.running.execution import Execution
from penstock_worker.running.traced import in_trace_of

log = structlog.get_logger()

PAUSE = 1.0  # seconds before a run is tried again that met an outage
END_SECONDS = 10.0  # for the last word on a run


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds between two looks for work, and between two signs of life."""

    poll: float = 0.5
    beat: float = 2.0


class Pool:
    """Claims runs, keeps their leases, and lets go of what it may not or must not finish."""

    def __init__(
        self, owner: str, store: RunStore, begin: Callable[[Claimed], Execution], limit: int, timing: Timing
    ) -> None:
        self.owner, self.store, self.limit, self.timing = owner, store, limit, timing
        self._begin = begin
        self._running: dict[UUID, tuple[Execution, asyncio.Task[None]]] = {}
        self._wanted = asyncio.Event()
        self._loops: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Take up work."""
        self._loops = [asyncio.create_task(self._claiming()), asyncio.create_task(self._beating())]

    async def stop(self) -> None:
        """Take up no more, and let go of what runs: whoever is free goes on with it."""
        for loop in self._loops:
            loop.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)
        running = [task for _, task in self._running.values()]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def nudge(self) -> None:
        """There may be work."""
        self._wanted.set()

    def cancel(self, run_id: UUID, tenant: UUID, reason: str) -> None:
        """End a run of this tenant now, if it is here."""
        execution, task = self._running.get(run_id, (None, None))
        if execution and task and execution.held.tenant == tenant and not execution.cancel_reason:
            execution.cancel_reason = reason
            task.cancel()

    async def _claiming(self) -> None:
        while True:
            self._wanted.clear()
            if free := self.limit - len(self._running):
                try:
                    for held in await self.store.claim(self.owner, free):
                        self._take_up(held)
                except Exception as error:
                    log.warning("runs.unclaimed", reason=describe(error))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.timing.poll):
                    await self._wanted.wait()

    def _take_up(self, held: Claimed) -> None:
        execution = self._begin(held)
        task = asyncio.create_task(self._carry(execution))
        self._running[held.hold.run_id] = execution, task
        metrics.RUNNING.set(len(self._running))
        task.add_done_callback(lambda _: self._ended(held.hold.run_id, task))

    def _ended(self, run_id: UUID, task: "asyncio.Task[None]") -> None:
        if (known := self._running.get(run_id)) and known[1] is task:
            del self._running[run_id]
            metrics.RUNNING.set(len(self._running))
        self._wanted.set()

    async def _carry(self, execution: Execution) -> None:
        run_id = str(execution.held.hold.run_id)
        try:
            with in_trace_of(execution.held) as spanned:
                await execution.run()
                if execution.error_code:
                    spanned.fail(execution.error_code)
        except Superseded:
            log.info("run.superseded", run_id=run_id)
        except Parked as parked:
            await self._release(execution, parked.delay)
        except (BusUnavailable, DatabaseUnavailable) as error:
            log.info("run.delayed", run_id=run_id, reason=error.message)
            await self._release(execution, PAUSE)
        except asyncio.CancelledError:
            await self._cancelled(execution)
            raise
        except Exception:
            log.exception("run.crashed", run_id=run_id)  # its lease runs out, and its deaths are counted

    async def _cancelled(self, execution: Execution) -> None:
        if not execution.cancel_reason:
            await self._release(execution, 0.0)
            return
        with contextlib.suppress(Superseded, DatabaseUnavailable, TimeoutError):  # else its mark ends it later
            async with asyncio.timeout(END_SECONDS):
                await execution.cancel()

    async def _release(self, execution: Execution, delay: float) -> None:
        with contextlib.suppress(DatabaseUnavailable, TimeoutError):  # else its lease runs out
            async with asyncio.timeout(END_SECONDS):
                await self.store.release(execution.held, delay)

    async def _beating(self) -> None:
        while True:
            await asyncio.sleep(self.timing.beat)
            try:
                await self._beat()
            except Exception as error:
                log.warning("leases.not_extended", reason=describe(error))

    async def _beat(self) -> None:
        beaten = dict(self._running)
        if not beaten:
            return
        held = await self.store.beat([execution.held.hold for execution, _ in beaten.values()])
        for run_id, (execution, task) in beaten.items():
            if run_id not in held:
                task.cancel()  # releasing what another process holds changes nothing
            elif reason := held[run_id]:
                self.cancel(run_id, execution.held.tenant, reason)
