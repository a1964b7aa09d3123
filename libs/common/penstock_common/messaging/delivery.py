"""What a delivery means: run a handler under a heartbeat, then settle by what it raised."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from functools import cache
from typing import Any

import structlog
from prometheus_client import Counter

from penstock_common.errors import PenstockError, code_of
from penstock_common.messaging import metrics
from penstock_common.messaging.attempts import NO_ANSWER, attempted
from penstock_common.messaging.deadletter import describe
from penstock_common.messaging.envelope import CONTEXT, TRACEPARENT, Context
from penstock_common.messaging.inflight import Inflight
from penstock_common.messaging.ports import Incoming, Settler
from penstock_common.messaging.replayed import apart
from penstock_common.messaging.topology import Consumer
from penstock_common.tracing.messages import processing

log = structlog.get_logger()

Call = Callable[[Incoming], Awaitable[None]]
CallBatch = Callable[[Sequence[Incoming]], Awaitable[None]]

SERIALIZATION_RETRIES = 5
SERIALIZATION_FAILURES = ("40001", "40P01")  # serialization_failure, deadlock_detected

DELIVERED: ContextVar[tuple[Consumer, Sequence[Incoming]] | None] = ContextVar("penstock_delivered", default=None)
"""The lane and the deliveries that the running handler was given, in the order of its messages."""


def delivery_was_repeated() -> bool:
    """Whether the running handler was given a message that may have been begun before."""
    delivered = DELIVERED.get()
    return delivered is not None and any(m.redelivered or m.attempt > 1 for m in delivered[1])


class AlreadyHandled(Exception):
    """Raised inside a handler whose messages were all handled before: the delivery is acknowledged."""

    is_no_error = True


class HandBack(Exception):
    """Raised by a handler that must not settle: deliver again after `delay` seconds, as nobody's fault."""

    is_no_error = True

    def __init__(self, delay: float = 0.0) -> None:
        super().__init__(f"again in {delay} s")
        self.delay = delay


class Delivery:
    """One process's deliveries on one bus, whichever client received them."""

    def __init__(self, settler: Settler) -> None:
        self.settler = settler
        self.inflight = Inflight(settler)

    async def run(self, call: Call, message: Incoming, lane: Consumer) -> None:
        """Handle one message and settle it. Never raises, except when cancelled."""
        own = (message,)
        task = self.inflight.begin(own)
        try:
            if await self._opened(message, lane):
                await self._call(call, message, own, lane)
                await self._ack(own, lane)
        except asyncio.CancelledError:
            await self.hand_back(message)
            raise
        except Exception as error:
            await self._failed(message, lane, error)
        finally:
            self.inflight.end(task, own)

    async def hand_back(self, *messages: Incoming) -> None:
        """Give back what won't be handled here; failing that, the bus delivers again by itself."""
        back = asyncio.gather(*(self.settler.hand_back(m) for m in messages if not m.settled), return_exceptions=True)
        for error in filter(None, await asyncio.shield(back)):
            log.warning("delivery.unsettled", reason=describe(error))

    async def run_batch(self, call: CallBatch, messages: Sequence[Incoming], lane: Consumer) -> None:
        """Handle messages together; if that fails, one by one, so that a poison message costs only itself."""
        task = self.inflight.begin(messages)
        try:
            for alike in apart(messages):
                for message in await self._together(call, alike, lane):
                    await self._run_opened(call, message, lane)
        except asyncio.CancelledError:
            await self.hand_back(*messages)
            raise
        finally:
            self.inflight.end(task, messages)

    async def _together(self, call: CallBatch, messages: Sequence[Incoming], lane: Consumer) -> Sequence[Incoming]:
        """Handle all at once; gives those that are to be handled one by one instead."""
        opened: list[Incoming] = []
        try:
            opened = [m for m in messages if await self._opened(m, lane)]
            if len(opened) > 1:
                await self._call(call, opened, opened, lane)
                await self._ack(opened, lane)
                return ()
        except Exception as error:
            log.warning("batch.failed", consumer=lane.name, size=len(messages), reason=describe(error))
        return opened

    async def _run_opened(self, call: CallBatch, message: Incoming, lane: Consumer) -> None:
        own = (message,)
        try:
            await self._call(call, own, own, lane)
            await self._ack(own, lane)
        except Exception as error:
            await self._failed(message, lane, error)

    async def _opened(self, message: Incoming, lane: Consumer) -> bool:
        """False where the message was moved aside instead of being handled."""
        message.attempt, silent = await self.settler.opening(message, lane)
        if silent >= lane.isolate_after and lane.quarantine:
            metrics.DELIVERIES.labels(lane.name, "quarantined").inc()
            log.warning("delivery.quarantined", consumer=lane.name, message_id=message.message_id)
            await self.settler.quarantine(message, lane, message.attempt - 1)
            return False
        if message.attempt > lane.max_attempts:
            reason = "attempts exhausted: no answer from the last one"
            message.failure = attempted(message.attempt - 1, NO_ANSWER, reason, message.headers.get(TRACEPARENT, ""))
            await self._bury(message, lane, message.attempt - 1, reason)
            return False
        return True

    async def _call(
        self, call: Callable[[Any], Awaitable[None]], given: Any, messages: Sequence[Incoming], lane: Consumer
    ) -> None:
        delivered = DELIVERED.set((lane, messages))
        context = CONTEXT.set(Context.of(messages[0].headers))
        try:
            with processing(messages, lane):
                await _persistently(call, given)
        finally:
            CONTEXT.reset(context)
            DELIVERED.reset(delivered)

    async def _ack(self, messages: Sequence[Incoming], lane: Consumer) -> None:
        try:
            await self.settler.ack(*messages)
        except Exception as unsettled:  # they will be delivered again, and the inbox knows them
            log.warning("delivery.unacknowledged", consumer=lane.name, reason=describe(unsettled))
        handled(lane.name).inc(len(messages))

    async def _failed(self, message: Incoming, lane: Consumer, error: Exception) -> None:
        try:
            await self._settle_failure(message, lane, error)
        except Exception as unsettled:  # the bus is away: it will deliver again by itself
            log.warning("delivery.unsettled", consumer=lane.name, reason=describe(unsettled))

    async def _settle_failure(self, message: Incoming, lane: Consumer, error: Exception) -> None:
        reason, attempt = describe(error), message.attempt
        if isinstance(error, HandBack):
            await self.settler.hand_back(message, error.delay)
            return
        span = message.traceparent or message.headers.get(TRACEPARENT, "")
        message.failure = attempted(attempt, code_of(error), reason, span)
        if is_refusal(error) or attempt >= lane.max_attempts:
            await self._bury(message, lane, attempt, reason)
            return
        known = isinstance(error, PenstockError)
        log.warning(
            "delivery.failed",
            consumer=lane.name,
            message_id=message.message_id,
            attempt=attempt,
            reason=reason,
            exc_info=None if known else error,
        )
        metrics.DELIVERIES.labels(lane.name, "retried").inc()
        await self.settler.retry(message, lane, delay_for(error, lane, attempt), reason)

    async def _bury(self, message: Incoming, lane: Consumer, attempts: int, reason: str) -> None:
        metrics.DELIVERIES.labels(lane.name, "buried").inc()
        log.error(
            "delivery.buried",
            consumer=lane.name,
            message_id=message.message_id,
            attempts=attempts,
            reason=reason,
        )
        if lane.is_dead_lane:  # it lies in the dead letters already; burying it there again would never end
            await self.settler.ack(message)
            return
        await self.settler.bury(message, lane, attempts, reason)


@cache
def handled(consumer: str) -> Counter:
    """The counter of a consumer's good ends: finding it costs more than counting."""
    return metrics.DELIVERIES.labels(consumer, "handled")


async def _persistently(call: Callable[[Any], Awaitable[None]], given: Any) -> None:
    """Call, and repeat what PostgreSQL could not serialize."""
    for repeat in range(SERIALIZATION_RETRIES + 1):
        try:
            await call(given)
        except AlreadyHandled:
            return
        except Exception as error:
            if repeat == SERIALIZATION_RETRIES or not is_serialization_failure(error):
                raise
            await asyncio.sleep(random.uniform(0, 0.01 * 2**repeat))  # noqa: S311 (jitter)
        else:
            return


def is_refusal(error: BaseException) -> bool:
    """True where no later attempt can succeed."""
    return isinstance(error, PenstockError) and not error.fault.passes


def is_serialization_failure(error: BaseException) -> bool:
    """True for PostgreSQL's 40001 and 40P01: repeating the same transaction is the cure."""
    origin = getattr(error, "orig", error)
    return getattr(origin, "sqlstate", None) in SERIALIZATION_FAILURES


def delay_for(error: BaseException, lane: Consumer, attempt: int) -> float:
    """Seconds until the next attempt: half of the delay is jitter, so that what failed together spreads out."""
    return lane.delay(attempt) * random.uniform(0.5, 1.0)  # noqa: S311 (jitter)
