"""Notices generations whose clients are gone because the api process that held them died.

An api process that lives tells so every two seconds, and stops the generations of clients that leave it. One that died
tells nobody: its clients have ten seconds to come back to another process, then its generations are stopped as if they
had left. Those seconds pass only while there is another process to come back to.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from functools import partial

import structlog

from penstock_common.clock import Clock
from penstock_common.contracts.generation import ApiLives, OnDisconnect
from penstock_common.periodic import Periodic
from penstock_inference.generating.listening import Listener
from penstock_inference.generating.ports import Listeners
from penstock_inference.generating.registry import Registry, Waiting
from penstock_inference.generating.run import Run

log = structlog.get_logger()

LOOK_SECONDS = 0.25
DEAD_SECONDS = 12.0  # of silence: it may have died right before its next sign of life, two seconds after the last
NONE_SECONDS = 5.0  # in which no process shows a sign of life: there is none that a client could come back to
STALL_SECONDS = 3.0  # between two looks: what was said meanwhile is not heard yet
AGAIN_SECONDS = 5.0  # between two questions about one request
QUESTIONS = 100  # at once
KNOWN = 1_000  # processes remembered


class Lives:
    """When each api process was heard last. Times are seconds by `Clock.boottime`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._heard: OrderedDict[str, float] = OrderedDict()
        self._deaf_until = self._looked_at = clock.boottime()

    def heard(self, process: str) -> None:
        """A sign of life."""
        self._heard[process] = self._clock.boottime()
        self._heard.move_to_end(process)
        while len(self._heard) > KNOWN:
            self._heard.popitem(last=False)

    def look(self, *, connected: bool) -> None:
        """To be called often: while the bus is away, or this process was stalled, or none lives, nobody is heard."""
        now = self._clock.boottime()
        if not connected or now - self._looked_at > STALL_SECONDS or self._none_lives(now):
            self._deaf_until = now
        self._looked_at = now

    def _none_lives(self, now: float) -> bool:
        return bool(self._heard) and now - next(reversed(self._heard.values())) > NONE_SECONDS

    def knows(self, process: str) -> bool:
        """Whether it was heard at all."""
        return process in self._heard

    def living(self) -> set[str]:
        """Those that are not dead, from whenever on that is asked."""
        return {process for process in self._heard if not self.is_dead(process, 0.0)}

    def is_dead(self, process: str, since: float) -> bool:
        """Whether it was silent for so long on end, from `since` on at the earliest."""
        silent_from = max(since, self._deaf_until, self._heard.get(process, since))
        return self._clock.boottime() - silent_from >= DEAD_SECONDS


class Leaving:
    """Looks after the runs of one process, and after who listens to them."""

    def __init__(self, registry: Registry, listeners: Listeners, clock: Clock, connected: Callable[[], bool]) -> None:
        self.registry, self.listeners, self.clock, self.connected = registry, listeners, clock, connected
        self.lives = Lives(clock)
        self._looking = Periodic(LOOK_SECONDS, self.look, "leaving.failed")
        self._asking: dict[Run | Waiting, asyncio.Task[None]] = {}
        self._ask_at: dict[Run | Waiting, float] = {}
        self._at_once = asyncio.Semaphore(QUESTIONS)

    def start(self) -> None:
        """Begin to look."""
        self._looking.start()

    async def stop(self) -> None:
        """Look no more."""
        await self._looking.stop()
        for task in list(self._asking.values()):
            task.cancel()
        await asyncio.gather(*self._asking.values(), return_exceptions=True)

    def is_gone(self, process: str) -> bool:
        """Whether an api process was silent for so long that its clients may have left."""
        return self.lives.is_dead(process, 0.0)

    async def on_lives(self, sign: ApiLives) -> None:
        """A sign of life."""
        self.lives.heard(sign.process)

    async def look(self) -> None:
        """Drop listeners that died, and ask for the clients of runs that have no other."""
        self.lives.look(connected=self.connected())
        runs: list[Run | Waiting] = [*self.registry.runs.values(), *self.registry.waiting.values()]
        if self._ask_at:
            held = set(runs)
            self._ask_at = {run: at for run, at in self._ask_at.items() if run in held}
        living = self.lives.living()
        for run in runs:
            if run.listeners.are_all_in(living):
                continue  # nearly always, and for thousands of runs several times a second
            self._drop_dead(run)
            if self._may_have_been_left(run):
                self._ask(run)

    def _drop_dead(self, run: Run | Waiting) -> None:
        """Processes that never said that they live may be of another kind, or older, and stay."""
        for process, listener in run.listeners:
            if self.lives.knows(process) and self._is_dead(process, listener):
                run.listeners.drop(process)

    def _may_have_been_left(self, run: Run | Waiting) -> bool:
        if run.command.on_disconnect is OnDisconnect.CONTINUE or run in self._asking:
            return False
        if self.clock.boottime() < self._ask_at.get(run, 0.0):
            return False
        return all(self._is_dead(process, listener) for process, listener in run.listeners)

    def _is_dead(self, process: str, listener: Listener) -> bool:
        return self.lives.is_dead(process, listener.asked_at)

    def _ask(self, run: Run | Waiting) -> None:
        task = self._asking[run] = asyncio.create_task(self._stop_if_left(run))
        task.add_done_callback(partial(self._asked, run))

    def _asked(self, run: Run | Waiting, _: "asyncio.Task[None]") -> None:
        self._asking.pop(run, None)
        self._ask_at[run] = self.clock.boottime() + AGAIN_SECONDS

    async def _stop_if_left(self, run: Run | Waiting) -> None:
        async with self._at_once:
            waited_for = await self.listeners.anyone_waits(run.request_id)
        if not waited_for and self.connected():
            log.info("generation.left", request_id=str(run.request_id), attempt=run.attempt)
            run.stop("client_left")
