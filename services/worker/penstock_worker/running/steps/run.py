"""Runs another task."""

from typing import Any

import msgspec

from penstock_common.clock import Clock
from penstock_common.contracts.runs import RunState, StartRun, Trigger
from penstock_common.sealing import Sealer
from penstock_common.tasks.declaration import RunStep
from penstock_worker.domain.depth import check_depth
from penstock_worker.domain.errors import ChildFailed, Parked, StepTooSlow
from penstock_worker.ports import Journal, StepContext

OPEN = (RunState.QUEUED, RunState.RUNNING)
SHORTEST_PAUSE, LONGEST_PAUSE = 0.2, 2.0  # seconds between two looks at a run that is waited for


class RunRunner:
    """Gives `run_id`, and its `output` where it is waited for. While it waits, the run above takes no slot."""

    def __init__(self, sealer: Sealer, clock: Clock) -> None:
        self.sealer, self.clock = sealer, clock

    async def run(self, step: RunStep, context: StepContext, journal: Journal) -> Any:
        """Start it once. Raises TooDeep, ChildFailed, StepTooSlow, Parked."""
        check_depth(context.run.depth + 1)
        command = self._command(step, context)
        await journal.publish("start", command, f"{command.run_id}.start")
        if not step.wait:
            return {"run_id": str(command.run_id)}
        child = await journal.child(command.run_id)
        if child is None or child.state in OPEN:
            self._wait(step, context)
        elif child.state is not RunState.SUCCEEDED:
            raise ChildFailed(f"the run {command.run_id} ended as {child.state}: {child.error} ({child.error_code})")
        return {"run_id": str(command.run_id), "output": child.output if child else None}

    def _command(self, step: RunStep, context: StepContext) -> StartRun:
        run, run_id = context.run, context.call.id
        content = msgspec.json.encode({"task": None, "input": step.input})
        return StartRun(
            run_id=run_id,
            tenant=run.tenant,
            key_id=run.key_id,
            trigger=Trigger.RUN,
            source_id=str(run.hold.run_id),
            task=step.task,
            sealed=self.sealer.seal(run.tenant, str(run_id), content),
            depth=run.depth + 1,
        )

    def _wait(self, step: RunStep, context: StepContext) -> None:
        age = (self.clock.now() - context.begun_at).total_seconds()
        if age > step.timeout:
            raise StepTooSlow(f"the run {context.call.id} did not end within {step.timeout:g} s; it goes on by itself")
        raise Parked(min(LONGEST_PAUSE, SHORTEST_PAUSE + age / 5))
