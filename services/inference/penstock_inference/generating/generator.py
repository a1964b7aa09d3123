"""Answers one `GenerateText`: claims where it must, runs the engine, records the end, tells the client."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import msgspec
import structlog

from penstock_common.clock import Clock
from penstock_common.contracts.base import Decision
from penstock_common.contracts.embedding import EmbedTexts, VectorizeTexts
from penstock_common.contracts.generation import GenerateText, OnDisconnect, Outcome, Tokens
from penstock_common.contracts.stream import Ended, Failure
from penstock_common.errors import PenstockError
from penstock_common.messaging.delivery import HandBack
from penstock_common.messaging.envelope import CONTEXT
from penstock_common.sealing import Sealer
from penstock_inference.domain.catalogue import Model
from penstock_inference.domain.ending import (
    DeadlinePassed,
    End,
    ModelUnknown,
    Place,
    RecordsUnavailable,
    Unrecorded,
    charged,
    failure_of,
    outcome_of,
    request_key,
)
from penstock_inference.generating.ports import Listeners, Models, Records, Tokenizer
from penstock_inference.generating.registry import Registry
from penstock_inference.generating.run import Run, RunPorts, Superseded
from penstock_inference.ports import EngineCall, Engines

log = structlog.get_logger()

OWNER_ALIVE_DELAY = 3.0  # seconds until a delivery whose owner lives is looked at again
FORGETFUL_SECONDS = 4.0  # a bus that crashed may have forgotten that it delivered a command before
LARGE_BODY = 256 * 1024  # bytes; opening more than that would hold up the loop
STALE_SECONDS = 1.0  # a command older than this may have been stopped before it was begun
UNRECORDED_SECONDS = 30.0  # how long a client waits for an end that can't be recorded


@dataclass(frozen=True, slots=True)
class Generator:
    """The dependencies of every generation of a process."""

    process: str
    engines: Engines
    models: Models
    records: Records
    listeners: Listeners
    tokenizer: Tokenizer
    registry: Registry
    sealer: Sealer
    shared: RunPorts
    clock: Clock
    unrecorded_after: float = UNRECORDED_SECONDS

    async def handle(self, command: GenerateText, *, redelivered: bool) -> None:
        """Answer a command once, however often it is delivered. Raises HandBack while another process is at it."""
        attempt = 1
        if command.request_id in self.registry.runs:
            raise HandBack(OWNER_ALIVE_DELAY)
        if redelivered or command.republished or self._age(command) > FORGETFUL_SECONDS:
            claimed = await self._take_over(command)
            if claimed is None:
                return
            attempt = claimed
        elif self.records.stalled:
            await self._refuse(command)
            return
        run = Run(command, attempt, process=self.process, ports=self.shared)
        run.task = asyncio.current_task()
        self.registry.add(run)
        try:
            await self._answer(run)
        finally:
            self.registry.remove(run)

    async def _take_over(self, command: GenerateText) -> int | None:
        """The attempt to make, or None where the request ended already and its answer was sent again."""
        if await self.listeners.owner_lives(command.request_id):
            raise HandBack(OWNER_ALIVE_DELAY)
        attempt = await self.records.claim(command, self.process)
        if attempt is None:
            await self.repeat_end(command)
        else:
            log.info("generation.taken_over", request_id=str(command.request_id), attempt=attempt)
        return attempt

    async def repeat_end(self, command: GenerateText) -> None:
        """Send the recorded answer again, from its beginning."""
        recorded = await self.records.read(command.request_id)
        if recorded and recorded.frames:
            self.listeners.send(command.reply_to, command.request_id, recorded.frames)

    async def _refuse(self, command: GenerateText) -> None:
        """The end could not be recorded now: say so before any engine is called, and record that later."""
        now = self.clock.now()
        failure = failure_of(RecordsUnavailable())
        frames = [Ended(0, Outcome.FAILED, {}, {}, Tokens(), failure)]
        self.listeners.send(command.reply_to, command.request_id, list(frames))
        end = End(
            command, 1, Outcome.FAILED, Tokens(), Place(command.model), now, now, failure=failure, frames=list(frames)
        )
        await self.records.finish(end)

    async def _answer(self, run: Run) -> None:
        model = self.models.resolve(run.command.model)
        try:
            end = await self._attempt(run, model)
        except Superseded:  # an ack here would take the command from the attempt that goes on
            raise HandBack(OWNER_ALIVE_DELAY) from None
        await self._conclude(run, end)

    async def _attempt(self, run: Run, model: Model | None) -> End:
        """Run the engine to whatever end."""
        body: dict[str, Any] = {}
        try:
            if reason := await self._reason_to_stop(run):
                run.stop_reason = reason
                return await self._end(run, model, body, Outcome.CANCELLED, None)
            if self.clock.now() >= run.command.deadline:
                raise DeadlinePassed
            if model is None:
                raise ModelUnknown(f"the model {run.command.model} is no longer served")
            body = await self._body(run.command)
            async with self._until_deadline(run):
                await self._run_engine(run, model, body)
        except asyncio.CancelledError:
            if run.superseded:
                raise Superseded from None
            if not run.stop_reason:
                raise
            uncancelled()
            return await self._end(run, model, body, Outcome.CANCELLED, None)
        except PenstockError as error:
            return await self._end(run, model, body, outcome_of(error, not run.output.is_empty), failure_of(error))
        except Exception as error:
            log.exception("generation.crashed", request_id=str(run.command.request_id))
            return await self._end(run, model, body, outcome_of(error, not run.output.is_empty), failure_of(error))
        return await self._end(run, model, body, Outcome.SUCCEEDED, None)

    async def _body(self, command: GenerateText) -> dict[str, Any]:
        """The client's JSON; a large one is opened beside the loop. Raises SubjectErased."""
        if len(command.sealed) < LARGE_BODY:
            return self._opened(command)
        return await asyncio.to_thread(self._opened, command)

    def _opened(self, command: GenerateText) -> dict[str, Any]:
        body: dict[str, Any] = msgspec.json.decode(self.sealer.open(request_key(command.request_id), command.sealed))
        return body

    async def _run_engine(self, run: Run, model: Model, body: dict[str, Any]) -> None:
        engine = self.engines.for_model(model)
        command = run.command
        trace = CONTEXT.get().traceparent
        background = isinstance(command, VectorizeTexts)
        call = EngineCall(command.request_id, run.attempt, model, body, command.deadline, trace, background)
        if isinstance(command, EmbedTexts | VectorizeTexts):
            run.take_whole(await engine.embed(call))
            return
        if not command.streamed:
            run.take_whole(await engine.complete(call))
            return
        async with aclosing(engine.stream(call)) as events:
            async for some in events:
                run.take(some)

    @asynccontextmanager
    async def _until_deadline(self, run: Run) -> AsyncIterator[None]:
        left = (run.command.deadline - self.clock.now()).total_seconds()
        try:
            async with asyncio.timeout(left):
                yield
        except TimeoutError as error:
            raise DeadlinePassed from error

    async def _reason_to_stop(self, run: Run) -> str:
        """Why the engine is not to be called at all; empty where it is."""
        command = run.command
        if heard := run.stop_reason or self.registry.stop_heard(command.request_id):
            return heard
        if run.attempt == 1 and self._age(command) < STALE_SECONDS:
            return ""
        if await self.records.is_cancelled(command.request_id):
            return "stopped"
        if run.attempt == 1 or command.on_disconnect is OnDisconnect.CONTINUE:
            return ""
        return "" if await self.listeners.anyone_waits(command.request_id) else "client_left"

    def _age(self, command: GenerateText) -> float:
        """Seconds since the request was accepted."""
        return (self.clock.now() - command.accepted_at).total_seconds()

    async def _end(
        self, run: Run, model: Model | None, body: dict[str, Any], outcome: Outcome, failure: Failure | None
    ) -> End:
        run.task = None  # from here on a stop comes too late
        run.flush()
        produced = not run.output.is_empty
        given = run.used.tokens if run.used else None
        estimated = Tokens()
        if produced and (given is None or outcome is not Outcome.SUCCEEDED):
            estimated = await self.tokenizer.estimate(body, run.output.text())
        tokens = charged(outcome, given, estimated, produced)
        finish = run.output.finish if outcome is Outcome.SUCCEEDED else {}
        ended = Ended(run.attempt, outcome, dict(finish), run.output.lengths(), tokens, failure)
        reason = failure.code if failure else run.stop_reason
        return End(
            command=run.command,
            attempt=run.attempt,
            outcome=outcome,
            tokens=tokens,
            place=place_of(run.command.model, model),
            started_at=run.started_at,
            ended_at=self.clock.now(),
            first_token_at=run.first_token_at,
            failure=failure,
            frames=[*run.output.since({}, run.attempt), ended],
            decisions=[Decision("generate", outcome.value, reason)],
        )

    async def _conclude(self, run: Run, end: End) -> None:
        """Record the end, then tell the client; a loser tells the winner's end, and books its own cost."""
        recording = asyncio.ensure_future(self.records.finish(end))
        try:
            won = await asyncio.wait_for(asyncio.shield(recording), self.unrecorded_after)
        except TimeoutError:
            unrecorded = msgspec.structs.replace(
                end.ended, outcome=Outcome.FAILED.value, failure=failure_of(Unrecorded())
            )
            if not run.suspect:
                run.say_end([unrecorded])
            left = (run.command.deadline - self.clock.now()).total_seconds()
            won = await asyncio.wait_for(recording, max(left, 1.0))
        if won:
            run.say_end(end.frames)
            return
        await self.records.cost(end)
        await self.repeat_end(run.command)

    async def bury(self, command: GenerateText, failure: Failure) -> None:
        """A command that could not be handled ends as failed, and its client hears it.

        It is claimed first: whatever attempt the row names, and whether or not its process lives, this end is newer.
        """
        attempt = await self.records.claim(command, self.process)
        if attempt is None:
            await self.repeat_end(command)
            return
        now = self.clock.now()
        end = End(
            command,
            attempt,
            Outcome.FAILED,
            Tokens(),
            Place(command.model),
            now,
            now,
            failure=failure,
            frames=[Ended(attempt, Outcome.FAILED, {}, {}, Tokens(), failure)],
            decisions=[Decision("generate", "buried", failure.code)],
        )
        if await self.records.finish(end):
            self.listeners.send(command.reply_to, command.request_id, end.frames)
        else:
            await self.repeat_end(command)


def uncancelled() -> None:
    """Take back the cancellation by which a stop ended the engine call."""
    if (task := asyncio.current_task()) is not None:
        task.uncancel()


def place_of(name: str, model: Model | None) -> Place:
    """Where a model runs; a model no longer known keeps its name."""
    if model is None:
        return Place(name)
    return Place(
        model.name, f"{model.engine}:{model.upstream_model or model.name}", model.provider, model.price.version
    )
