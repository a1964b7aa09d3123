"""Asks models for a service that has no client waiting: questions outlive the process that asked them."""

import asyncio
from collections.abc import Iterable
from datetime import timedelta

import msgspec
import structlog

from penstock_common.asking.commands import outgoing_of
from penstock_common.asking.pending import PendingQuestion
from penstock_common.asking.question import Answered, AskFailed, Question
from penstock_common.asking.recovery import Recovery
from penstock_common.clock import Clock
from penstock_common.contracts.base import Decision
from penstock_common.contracts.generation import GenerateText, OnDisconnect
from penstock_common.contracts.stream import Failure, unpack
from penstock_common.errors import ContractViolated, Fault
from penstock_common.ids import uuid7
from penstock_common.messaging.envelope import CONTEXT
from penstock_common.messaging.ports import Bus, Subscription
from penstock_common.sealing import Sealer

log = structlog.get_logger()

PUBLISH_SECONDS = 5.0
PATIENCE_SECONDS = 5.0  # beyond the deadline: the end of an expired request is on its way
EXPIRED = Failure("inference.deadline_passed", Fault.TIMEOUT.value, "No model answered before the deadline.")


class Asker:
    """The questions that one process waits for, in one inbox."""

    def __init__(self, service: str, bus: Bus, sealer: Sealer, clock: Clock) -> None:
        self.process = f"{service}-{uuid7().hex}"
        self.service, self.bus, self.sealer, self.clock = service, bus, sealer, clock
        self._pending: dict[str, PendingQuestion] = {}
        self._recovery = Recovery(self.process, bus, self._pending.values, self._waiting)
        self._inbox: Subscription | None = None

    async def start(self) -> None:
        """Open the inbox. Raises BusUnavailable."""
        self._inbox = await self.bus.receive(self.process, self._receive)
        await self._recovery.start()

    async def stop(self) -> None:
        """Receive no more; what was asked goes on, and can be asked for again by its id."""
        await self._recovery.stop()
        if self._inbox:
            await self._inbox.stop()

    async def ask(self, question: Question) -> Answered:
        """The answer. Raises AskFailed, BusUnavailable, MessageTooLarge, SubjectErased.

        However often a question is asked under one id, by whichever process, it is answered and charged once. Being
        cancelled leaves the question as it is: whoever wants it stopped publishes `CancelGeneration`.
        """
        command = await self._command(question)
        pending = PendingQuestion(command)
        key = str(question.request_id)
        self._pending[key] = pending
        try:
            if question.asked_before:
                pending.unknown = 1  # the first time that nobody knows of it, it is published
                self._recovery.begin(pending)
            else:
                await self.bus.publish(outgoing_of(command, CONTEXT.get().traceparent), PUBLISH_SECONDS)
            async with asyncio.timeout(question.seconds + PATIENCE_SECONDS):
                return await pending.answered
        except TimeoutError:
            raise AskFailed(EXPIRED) from None
        finally:
            self._forget(key, pending)

    def _waiting(self, key: str) -> Iterable[PendingQuestion]:
        pending = self._pending.get(key)
        return () if pending is None else (pending,)

    def _forget(self, key: str, pending: PendingQuestion) -> None:
        del self._pending[key]
        pending.answered.cancel()
        if pending.recovering:
            pending.recovering.cancel()

    def _receive(self, key: str, body: bytes) -> None:
        pending = self._pending.get(key)
        if pending is None:
            return
        try:
            pending.feed(unpack(body))
        except ContractViolated as error:
            log.error("answer.unreadable", request_id=key, reason=error.message)
            return
        if pending.gapped:
            self._recovery.begin(pending)

    async def _command(self, question: Question) -> GenerateText:
        now = self.clock.now()
        sealed, mac = await asyncio.to_thread(self._sealed, question)
        return question.contract(
            request_id=question.request_id,
            tenant=question.tenant,
            key_id=question.key_id,
            model=question.model,
            catalogue_version=0,
            sealed=sealed,
            body_mac=mac,
            streamed=False,
            reply_to=self.process,
            accepted_at=now,
            deadline=now + timedelta(seconds=question.seconds),
            lane=question.lane,
            on_disconnect=OnDisconnect.CONTINUE,
            decisions=[*question.decisions, Decision("ask", self.service, asked_for(self.process))],
        )

    def _sealed(self, question: Question) -> tuple[bytes, str]:
        body = msgspec.json.encode(question.body, order="sorted")
        return (
            self.sealer.seal(question.tenant, str(question.request_id), body),
            self.sealer.mac(question.tenant, body),
        )


def asked_for(process: str) -> str:
    """Which process asks, and for what: its run, document, … by which a request is found from there and back."""
    correlation = CONTEXT.get().correlation
    return f"{process} for {correlation}" if correlation else process
