"""Sends queued requests as slots get free, and ends those that must end without their turn."""

import asyncio
from dataclasses import dataclass

import structlog

from penstock_common.clock import Clock
from penstock_common.contracts.base import Decision
from penstock_common.contracts.generation import Outcome
from penstock_common.errors import PenstockError
from penstock_common.messaging.envelope import CONTEXT
from penstock_common.periodic import Periodic, guarded
from penstock_inference.domain.ending import DeadlinePassed, End, Undeliverable, failure_of, ungenerated
from penstock_inference.domain.queue import QueueFull
from penstock_inference.queueing import metrics
from penstock_inference.queueing.ports import Burial, Due, Ends, Queue

log = structlog.get_logger()

POLL_SECONDS = 1.0
REST_SECONDS = 0.02  # between two looks, so that what ends together is looked at together
REST_SHARE = 5  # rests are so many times as long as looks: where all is slow, what is accepted comes before what begins
MOST_REST_SECONDS = 0.25
FAILED = "queue.unseen"


@dataclass(frozen=True, slots=True)
class Needs:
    """What a dispatcher works with."""

    queue: Queue
    ends: Ends
    burial: Burial
    clock: Clock
    slots: int
    """Turns at once, of all processes together."""


class Dispatcher:
    """One a process; all of them look at one queue, one at a time."""

    def __init__(self, needs: Needs) -> None:
        self.needs = needs
        self._looking = Periodic(POLL_SECONDS, self._look_and_rest, FAILED)

    def start(self) -> None:
        """Begin to look."""
        self._looking.start()

    async def stop(self) -> None:
        """Look no more; the other processes do."""
        await self._looking.stop()

    def wake(self) -> None:
        """Something came, was stopped or ended: look now."""
        self._looking.nudge()

    async def _look_and_rest(self) -> None:
        clock = asyncio.get_running_loop().time
        began = clock()
        await guarded(self.look, FAILED)
        await asyncio.sleep(min(max(REST_SECONDS, REST_SHARE * (clock() - began)), MOST_REST_SECONDS))

    async def look(self) -> None:
        """End what must end, bury what is overdue, send what may go. Raises DatabaseUnavailable."""
        state = await self.needs.queue.state()
        if not state.has_any:
            metrics.WAITING.set(0)
            metrics.RUNNING.set(0)
            return
        while state.has_due and (due := await self.needs.queue.due()):
            await self._end(due)
        for command in await self.needs.queue.overdue() if state.has_overdue else ():
            log.warning("turn.overdue", request_id=str(command.request_id))
            await self.needs.burial.bury(command, failure_of(Undeliverable()))
        sent = await self.needs.queue.dispatch(self.needs.slots)
        metrics.WAITING.set(sent.waiting)
        metrics.RUNNING.set(sent.running)
        metrics.QUEUED.labels("dispatched").inc(sent.dispatched)
        if sent.may_send_more:
            self.wake()
        if sent.dispatched:
            log.info("queue.dispatched", count=sent.dispatched, running=sent.running, waiting=sent.waiting)

    async def _end(self, due: list[Due]) -> None:
        """Each end is recorded as any other; where it was before, by a process that died here, the record stays."""
        await asyncio.gather(*(self._finish(each) for each in due))
        await self.needs.queue.remove([each.command.request_id for each in due])

    async def _finish(self, due: Due) -> None:
        token = CONTEXT.set(due.context)
        try:
            end = self._end_of(due)
            if await self.needs.ends.finish(end):
                outcome = due.verdict or "expired"
                metrics.QUEUED.labels(outcome).inc()
                log.info("queue.ended", request_id=str(due.command.request_id), outcome=outcome)
        finally:
            CONTEXT.reset(token)

    def _end_of(self, due: Due) -> End:
        """No engine was called, and nothing is charged."""
        error: PenstockError | None = None
        if due.verdict == "stopped":
            outcome = Outcome.CANCELLED
        elif due.verdict == "full":
            outcome, error = Outcome.FAILED, QueueFull()
        else:
            outcome, error = Outcome.EXPIRED, DeadlinePassed()
        failure = failure_of(error) if error else None
        decision = Decision("queue", outcome.value, failure.code if failure else due.verdict)
        return ungenerated(due.command, outcome, decision, self.needs.clock.now(), failure)
