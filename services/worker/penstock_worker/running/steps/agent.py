"""Carries out a step by an agent, whose library is loaded at the first of them."""

import asyncio
import importlib
from typing import Any

from penstock_common.tasks.declaration import AgentStep
from penstock_worker.ports import Journal, Runners, StepContext


class AgentSteps:
    """A worker without agents does without their library: 56 MB, and a second of its start."""

    def __init__(self, runners: Runners) -> None:
        self.runners = runners

    async def run(self, step: AgentStep, context: StepContext, journal: Journal) -> Any:
        """See `AgentRunner`."""
        agents = await asyncio.to_thread(importlib.import_module, "penstock_worker.running.agents.runner")
        return await agents.AgentRunner(self.runners).run(step, context, journal)
