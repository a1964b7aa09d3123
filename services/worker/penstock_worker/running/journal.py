"""The journal of one run, as its process writes it: every line is refused once another process holds the run."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from uuid import UUID

from penstock_common.asking import AskFailed, Question
from penstock_common.contracts.base import Contract
from penstock_common.ids import uuid7
from penstock_common.tasks.declaration import AnyStep
from penstock_worker.domain.calls import Call
from penstock_worker.domain.errors import ModelRefused, ModelUnavailable
from penstock_worker.domain.progress import ENDED, STEP_FINISHED, STEP_STARTED, TOOL_ANSWERED, Begun, Progress
from penstock_worker.ports import Child, Claimed, Models, Note, RunStore, StateChange
from penstock_worker.running import metrics

MIN_SECONDS = 1.0


class RunJournal:
    """Implements `Journal` for the step that runs now."""

    def __init__(self, held: Claimed, store: RunStore, models: Models, progress: Progress) -> None:
        self.held, self.store, self.models, self.progress = held, store, models, progress
        self.step, self.call = "", Call(held.hold.run_id)
        self.in_flight: set[UUID] = set()
        """Requests to models that were asked and did not end."""

    async def write(self, kind: str, step: str = "", detail: Mapping[str, Any] | None = None, steps: int = 0) -> None:
        """Write the next line. Raises Superseded, DatabaseUnavailable."""
        note = Note(kind=kind, step=step, detail=detail or {}, steps=steps)
        self.progress.take(await self.store.append(self.held, note))
        if kind in ENDED:
            metrics.STEPS.labels(kind.removeprefix("step.")).inc()

    async def begin(self, step: AnyStep) -> Begun:
        """The step is the running one from now on; a step that was begun before keeps its call."""
        begun = self.progress.begun.get(step.name)
        self.step = step.name
        self.call = Call(begun.call_id if begun else uuid7(), repeated=begun is not None)
        if begun is None:
            detail = {"call": str(self.call.id), "kind": step.__struct_config__.tag}
            await self.write(STEP_STARTED, step.name, detail)
        return self.progress.begun[step.name]

    def attempt(self, number: int) -> Call:
        """The running step's call, in this attempt of it."""
        self.call = Call(self.call.id, number, self.call.repeated)
        return self.call

    async def finish(self, output: Any) -> None:
        """The running step ended well, unless that was written together with its effect."""
        if self.step not in self.progress.steps:
            self.progress.check_fits(output)
            await self.write(STEP_FINISHED, self.step, {"output": output})

    async def once(self, name: str, kind: str, make: Callable[[Call], Awaitable[Any]]) -> Any:
        """See `Journal`."""
        known = (self.step, name)
        if known not in self.progress.answers:
            answer = await make(self.call.named(name))
            self.progress.check_fits(answer)
            await self.write(kind, self.step, {"name": name, "answer": answer})
        return self.progress.answers[known]

    async def ask(self, call: Call, model: str, body: dict[str, Any], seconds: float) -> dict[str, Any]:
        """See `Journal`."""
        question = Question(
            request_id=call.request_id,
            tenant=self.held.tenant,
            key_id=self.held.key_id,
            model=model,
            body={**body, "model": model},
            seconds=max(seconds, MIN_SECONDS),
            asked_before=call.repeated,
        )
        self.in_flight.add(question.request_id)
        try:
            answered = await self.models.ask(question)
        except AskFailed as error:
            self.in_flight.discard(question.request_id)
            raise (ModelUnavailable if error.passes else ModelRefused)(
                f"{error.message} ({error.failure_code})"
            ) from error
        self.in_flight.discard(question.request_id)
        return answered.body

    async def remember(self, change: StateChange) -> None:
        """See `Journal`."""
        self.progress.take(await self.store.remember(self.held, self.step, change))
        metrics.STEPS.labels("finished").inc()

    async def publish(self, name: str, message: Contract, message_id: str) -> None:
        """See `Journal`."""
        if (self.step, name) not in self.progress.answers:
            detail = {"name": name, "answer": message_id}
            note = Note(kind=TOOL_ANSWERED, step=self.step, detail=detail, publish=[(message_id, message)])
            self.progress.take(await self.store.append(self.held, note))

    async def child(self, run_id: UUID) -> Child | None:
        """See `Journal`."""
        return await self.store.child(run_id)
