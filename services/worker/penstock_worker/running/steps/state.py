"""Changes what a task remembers from run to run."""

from typing import Any

from penstock_common.tasks.declaration import StateStep
from penstock_worker.domain.remembered import changed
from penstock_worker.ports import Journal, StateChange, StepContext


class StateRunner:
    """Gives `before` and `after`, written in the transaction of the change: once a run, whoever dies."""

    async def run(self, step: StateStep, context: StepContext, journal: Journal) -> Any:
        """Change it. Raises StateInvalid."""
        await journal.remember(StateChange(step.key, lambda before: changed(before, step.set, step.add)))
