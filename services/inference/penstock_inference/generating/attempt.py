"""Runs the engine for one attempt at a request, to whatever end."""

import asyncio
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from typing import Any

import msgspec
import structlog

from penstock_common.contracts.base import Decision
from penstock_common.contracts.embedding import EmbedTexts, VectorizeTexts
from penstock_common.contracts.generation import GenerateText, OnDisconnect, Outcome
from penstock_common.errors import BusUnavailable, DatabaseUnavailable, PenstockError
from penstock_common.messaging.delivery import HandBack
from penstock_common.messaging.envelope import CONTEXT
from penstock_inference.domain.catalogue import Model
from penstock_inference.domain.continuing import NO_PREFIX, Prefix
from penstock_inference.domain.ending import DeadlinePassed, End, ModelUnknown, outcome_of, request_key
from penstock_inference.domain.errors import EngineRefused
from penstock_inference.domain.output import Output
from penstock_inference.domain.takeover import AnswerCut, Held, Plan, Way, plan
from penstock_inference.generating.concluding import Conclusion, routed
from penstock_inference.generating.needs import Needs
from penstock_inference.generating.run import Run, Superseded
from penstock_inference.ports import EngineCall

log = structlog.get_logger()

AGAIN_SECONDS = 3.0  # until a request is looked at again whose owner lives, or whose client can't be asked for
PROMISED_SECONDS = 15.0  # at least: NATS delivers a message 26 times, and it is to be there until its deadline
LARGE_BODY = 256 * 1024  # bytes; opening more than that would hold up the loop
STALE_SECONDS = 1.0  # a command older than this may have been stopped before it was begun


def pause_of(command: GenerateText) -> float:
    """Seconds until a request is looked at again for which nothing can be done now."""
    return PROMISED_SECONDS if command.is_promised else AGAIN_SECONDS


class Attempt:
    """One attempt, and what it knows of its request."""

    __slots__ = ("body", "command", "held", "model", "needs", "prefix", "route", "run")

    def __init__(self, needs: Needs, run: Run) -> None:
        self.needs, self.run, self.command = needs, run, run.command
        self.model = needs.models.resolve(run.command.model)
        self.body: dict[str, Any] = {}
        self.prefix = NO_PREFIX
        self.route: Decision | None = None
        """Which engine was called."""
        self.held: Held | None = None
        """What an api process has of a streamed answer that an earlier attempt began."""

    async def made(self) -> End:
        """How it ended. Raises Superseded where another attempt took over, HandBack where it can't be made now."""
        try:
            await self._take_up()
            if reason := await self._reason_to_stop():
                self.run.stop_reason = reason
                return await self._end(Outcome.CANCELLED)
            await self._answer()
        except asyncio.CancelledError:
            if self.run.superseded:
                raise Superseded from None
            if self.run.stop_reason:
                uncancelled()
                return await self._end(Outcome.CANCELLED)
            if self.run.has_expired:
                uncancelled()
                return await self._end(self._outcome_of(late := DeadlinePassed()), late)
            raise
        except HandBack:
            raise
        except DatabaseUnavailable as error:
            if self.run.attempt > 1 or self.command.is_promised:  # a part of the answer was told already, or its id
                raise HandBack(pause_of(self.command)) from error
            return await self._end(self._outcome_of(error), error)
        except PenstockError as error:
            return await self._end(self._outcome_of(error), error)
        except Exception as error:
            log.exception("generation.crashed", request_id=str(self.command.request_id))
            return await self._end(self._outcome_of(error), error)
        return await self._end(Outcome.SUCCEEDED)

    async def _take_up(self) -> None:
        """Begin with what the client has: however this attempt ends, that was delivered."""
        if self.run.attempt == 1 or not self.command.streamed:
            return
        try:
            self.held = await self.needs.listeners.held(self.command.request_id)
        except BusUnavailable:  # without it nobody hears anything either
            raise HandBack(AGAIN_SECONDS) from None
        if self.held and not self.held.output.is_empty:
            self.body = await self._body()
            self.run.begin_with(self.held.output, "")

    async def _answer(self) -> None:
        """Have the request answered within its deadline."""
        if self.needs.clock.now() >= self.command.deadline:
            raise DeadlinePassed
        if self.model is None:
            raise ModelUnknown(f"the model {self.command.model} is no longer served")
        self.body = self.body or await self._body()
        with self._until_deadline():
            if not self.command.streamed:
                await self._take_whole(self.model)
            elif self.run.attempt == 1:
                await self._stream(self.model)
            else:
                await self._go_on(self.model)

    async def _take_whole(self, model: Model) -> None:
        engine, call = self.needs.engines.for_model(model), self._call(model)
        embeds = isinstance(self.command, EmbedTexts | VectorizeTexts)
        self.run.take_whole(await (engine.embed(call) if embeds else engine.complete(call)))

    async def _stream(self, model: Model) -> None:
        async with aclosing(self.needs.engines.for_model(model).stream(self._call(model))) as events:
            async for some in events:
                self.run.take(some)
        self.run.must_be_verified()

    async def _go_on(self, model: Model) -> None:
        """Stream the answer on from what the client has of it, in the first way that its engine takes."""
        way = await self._follow(plan(model, self.body, self.held))
        try:
            await self._stream(model)
        except EngineRefused:
            if way is not Way.CONTINUE or self.run.first_token_at:
                raise
            await self._follow(plan(model, self.body, self.held, refused=True))
            await self._stream(model)

    async def _follow(self, chosen: Plan) -> Way:
        log.info("takeover.planned", request_id=str(self.command.request_id), way=chosen.way, reason=chosen.reason)
        self.run.decisions.append(chosen.decision)
        self.prefix = NO_PREFIX
        kept = self.held.output if self.held and chosen.keeps else Output()
        self.run.begin_with(kept, chosen.prefix)
        if chosen.way is Way.GIVE_UP:
            raise AnswerCut
        if chosen.prefix:
            estimated = await self.needs.tokenizer.estimate({}, chosen.prefix)
            self.prefix = Prefix(chosen.prefix, estimated.completion)
        return chosen.way

    def _call(self, model: Model) -> EngineCall:
        trace, background = CONTEXT.get().traceparent, isinstance(self.command, VectorizeTexts)
        c, attempt = self.command, self.run.attempt
        self.route = routed(model, self.needs.models.version)
        return EngineCall(c.request_id, attempt, model, self.body, c.deadline, trace, background, self.prefix)

    async def _body(self) -> dict[str, Any]:
        """The client's JSON; a large one is opened beside the loop. Raises SubjectErased."""
        if len(self.command.sealed) < LARGE_BODY:
            return self._opened()
        return await asyncio.to_thread(self._opened)

    def _opened(self) -> dict[str, Any]:
        sealed, key = self.command.sealed, request_key(self.command.request_id)
        body: dict[str, Any] = msgspec.json.decode(self.needs.sealer.open(key, sealed))
        return body

    @contextmanager
    def _until_deadline(self) -> Iterator[None]:
        left = (self.command.deadline - self.needs.clock.now()).total_seconds()
        at = asyncio.get_running_loop().time() + left
        alarm = self.needs.shared.timers.alarms.set(at, self.run.expire)
        try:
            yield
        finally:
            alarm.cancel()

    async def _reason_to_stop(self) -> str:
        """Why the engine is not to be called at all; empty where it is."""
        request_id, first = self.command.request_id, self.run.attempt == 1
        if heard := self.run.stop_reason or self.needs.registry.stop_heard(request_id):
            return heard
        if first and age(self.needs, self.command) < STALE_SECONDS:
            return ""
        if await self.needs.records.is_cancelled(request_id):
            return "stopped"
        if first or self.held or self.command.on_disconnect is OnDisconnect.CONTINUE:
            return ""
        if not self.needs.is_gone(self.command.reply_to):  # it may be frozen, and its clients wait
            return ""
        return "" if await self.needs.listeners.anyone_waits(request_id) else "client_left"

    def _outcome_of(self, error: Exception) -> Outcome:
        return outcome_of(error, not self.run.output.is_empty)

    async def _end(self, outcome: Outcome, error: Exception | None = None) -> End:
        concluded = Conclusion(self.run, self.model, self.body, self.prefix, self.route)
        return await concluded.end(self.needs, outcome, error)


def age(needs: Needs, command: GenerateText) -> float:
    """Seconds since the request was accepted."""
    return (needs.clock.now() - command.accepted_at).total_seconds()


def uncancelled() -> None:
    """Take back the cancellation by which a stop ended the engine call."""
    if (task := asyncio.current_task()) is not None:
        task.uncancel()
