"""One run, carried out from where its journal ends."""

import asyncio
import random
from typing import Any

import structlog

from penstock_common.contracts.generation import CancelGeneration
from penstock_common.contracts.runs import RunState
from penstock_common.errors import BusUnavailable, DatabaseUnavailable, PenstockError
from penstock_common.ids import uuid7
from penstock_common.tasks.checks import task_of
from penstock_common.tasks.declaration import AnyStep, Task
from penstock_common.tasks.expressions import holds, parse
from penstock_common.tasks.rendering import rendered
from penstock_common.tasks.templates import render
from penstock_worker.domain.errors import Abandoned, KindUnknown, Parked, StepCrashed, StepTooSlow, Superseded
from penstock_worker.domain.progress import RUN_RESUMED, RUN_STARTED, STEP_FAILED, STEP_SKIPPED, Begun, Progress
from penstock_worker.ports import Claimed, End, Models, Runners, RunStore, StepContext
from penstock_worker.running import metrics
from penstock_worker.running.journal import RunJournal
from penstock_worker.running.traced import step_span

log = structlog.get_logger()

MAX_DEATHS = 10  # of processes in a row without a step that ended: it may be the run that kills them
GRACE = 1.0  # seconds: a runner that keeps to its time by itself says better what was too slow
LONGEST_PAUSE = 30.0  # seconds between two attempts
ELSEWHERE = (BusUnavailable, DatabaseUnavailable)
"""What says nothing of the run: it is taken up again once these are back."""


class StepFailed(Exception):
    """A step failed, and the run with it."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(error["code"])
        self.error = error


class Execution:
    """A run that this process holds."""

    def __init__(self, held: Claimed, store: RunStore, models: Models, runners: Runners) -> None:
        self.held, self.store, self.runners = held, store, runners
        self.journal = RunJournal(held, store, models, Progress())
        self.cancel_reason = held.cancel_reason
        self.error_code = ""
        self._input: Any = None

    async def run(self) -> None:
        """Carry it out to its end. Raises Superseded, Parked, BusUnavailable, DatabaseUnavailable."""
        if self.cancel_reason:
            await self.cancel()
            return
        try:
            output = await self._steps()
        except ELSEWHERE:
            raise
        except StepFailed as failed:
            await self._fail(failed.error)
        except PenstockError as error:
            await self._fail(told(error))
        else:
            await self._end(End(state=RunState.SUCCEEDED, output=output))

    async def cancel(self) -> None:
        """Write that it was cancelled, and stop the models that it asked. Raises Superseded, DatabaseUnavailable."""
        stops = [
            CancelGeneration(request_id=id_, tenant=self.held.tenant, reason=self.cancel_reason)
            for id_ in self.journal.in_flight
        ]
        ended = End(
            state=RunState.CANCELLED,
            error_code="worker.run_cancelled",
            error=self.cancel_reason,
            publish=[(str(uuid7()), stop) for stop in stops],
        )
        await self._end(ended)

    async def _fail(self, error: dict[str, Any]) -> None:
        self.error_code = error["code"]
        await self._end(End(state=RunState.FAILED, error_code=error["code"], error=error["message"]))

    async def _end(self, end: End) -> None:
        await self.store.end(self.held, end)
        metrics.RUNS.labels(end.state.value).inc()
        log.info("run.ended", run_id=str(self.held.hold.run_id), state=end.state.value, error_code=end.error_code)

    async def _steps(self) -> Any:
        if self.held.deaths >= MAX_DEATHS:
            raise Abandoned
        entries = await self.store.entries(self.held.hold.run_id)
        progress = self.journal.progress = Progress.of(entries)
        declaration, self._input = await self.store.content(self.held)
        task = task_of(declaration)
        if not progress.version:
            await self.journal.write(RUN_STARTED, steps=len(task.steps))
        elif self.held.deaths:
            metrics.TAKEN_OVER.inc()
            await self.journal.write(RUN_RESUMED)
        for step in task.steps:
            await self._step(step)
        return self._output(task)

    async def _step(self, step: AnyStep) -> None:
        if step.name not in self.journal.progress.steps:
            await self._carry_out(step)
        result = self.journal.progress.steps[step.name]
        if result["error"] and step.on_error == "fail":
            raise StepFailed(result["error"])

    async def _carry_out(self, step: AnyStep) -> None:
        if step.when and not holds(parse(step.when), self._scope()):
            await self.journal.write(STEP_SKIPPED, step.name)
            return
        with step_span(step) as spanned:
            begun = await self.journal.begin(step)
            try:
                await self.journal.finish(await self._attempts(step, begun))
            except ELSEWHERE:
                raise
            except PenstockError as error:
                spanned.fail(error.code)
                await self.journal.write(STEP_FAILED, step.name, {"error": told(error)})
            if (attempts := self.journal.call.attempt) > 1:
                spanned.set({"penstock.attempt": attempts})

    async def _attempts(self, step: AnyStep, begun: Begun) -> Any:
        clock = asyncio.get_running_loop().time
        deadline, attempt = clock() + step.timeout, 1
        while True:
            try:
                async with asyncio.timeout_at(deadline + GRACE):
                    return await self._attempt(step, begun, attempt, deadline - clock())
            except TimeoutError as error:
                raise StepTooSlow(f"the step did not end within {step.timeout:g} s") from error
            except PenstockError as error:
                pause = min(2.0 ** (attempt - 1), LONGEST_PAUSE) * random.uniform(0.5, 1)  # noqa: S311
                over = attempt > step.retries or clock() + pause >= deadline
                if over or not error.fault.passes or isinstance(error, ELSEWHERE):
                    raise
            await asyncio.sleep(pause)
            attempt += 1

    async def _attempt(self, step: AnyStep, begun: Begun, attempt: int, seconds: float) -> Any:
        runner = self.runners.get(type(step))
        if runner is None:
            raise KindUnknown
        scope = self._scope()
        context = StepContext(
            run=self.held,
            call=self.journal.attempt(attempt),
            begun_at=begun.at,
            seconds=seconds,
            scope=scope,
        )
        try:
            return await runner.run(rendered(step, scope), context, self.journal)
        except (PenstockError, Parked, Superseded, TimeoutError):
            raise
        except Exception as error:
            log.exception("step.crashed", run_id=str(self.held.hold.run_id), step=step.name)
            raise StepCrashed from error

    def _scope(self) -> dict[str, Any]:
        held = self.held
        run = {
            "id": str(held.hold.run_id),
            "task": held.task,
            "trigger": held.trigger.value,
            "source_id": held.source_id,
            "due_at": held.due_at.isoformat() if held.due_at else None,
        }
        return self.journal.progress.scope(self._input, run)

    def _output(self, task: Task) -> Any:
        output = self.journal.progress.last_output if task.output is None else render(task.output, self._scope())
        self.journal.progress.check_output(output)
        return output


def told(error: PenstockError) -> dict[str, str]:
    """A failure as templates, conditions and people see it."""
    return {"code": error.code, "message": error.message}
