"""Carries out a step by an agent; a supervisor reaches its specialists as tools."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from pydantic_ai import Agent, RunContext, StructuredDict, Tool, ToolOutput
from pydantic_ai.exceptions import UnexpectedModelBehavior, UsageLimitExceeded
from pydantic_ai.usage import RunUsage, UsageLimits

from penstock_common.tasks.declaration import AgentStep, Specialist
from penstock_worker.domain.errors import AgentAstray, AgentTurnsSpent
from penstock_worker.ports import Journal, Runners, StepContext
from penstock_worker.running.agents.model import BusModel
from penstock_worker.running.agents.tools import Toolbox
from penstock_worker.running.traced import agent_span

SUPERVISOR = "agent"
ANSWER = "answer"
"""The tool by which a model gives an answer that has a form."""
CORRECTIONS = 5
"""How often in a row a model may be told what was wrong with its call or answer."""
REQUEST = {
    "type": "object",
    "properties": {"request": {"type": "string", "description": "The whole request, in your own words."}},
    "required": ["request"],
}


@dataclass(slots=True)
class Crew:
    """The agents of one step: they share their journal, their tools' means, and one allowance of turns."""

    step: AgentStep
    context: StepContext
    journal: Journal
    toolbox: Toolbox
    usage: RunUsage = field(default_factory=RunUsage)
    asked: list[str] = field(default_factory=list)
    """Specialists, in the order in which they were asked."""

    @property
    def limits(self) -> UsageLimits:
        """How often all of them together may ask a model."""
        return UsageLimits(request_limit=self.step.turns)

    def supervisor(self) -> Agent[None, Any]:
        """The agent that the step's prompt goes to."""
        step = self.step
        tools = [self.toolbox.tool(tool, SUPERVISOR) for tool in step.tools]
        tools += [self._handing_on(specialist) for specialist in step.specialists]
        answer = ToolOutput(StructuredDict(step.answer), name=ANSWER) if step.answer else str
        model = self._model(step.model, SUPERVISOR)
        return Agent(model, instructions=step.instructions, tools=tools, output_type=answer, retries=CORRECTIONS)

    def _handing_on(self, specialist: Specialist) -> Tool[None]:
        async def ask(ctx: RunContext[None], request: str = "") -> str:
            self.asked.append(specialist.name)
            name = f"{specialist.name}.{ctx.run_step}.{ctx.tool_call_id}"
            agent = Agent(
                self._model(specialist.model or self.step.model, name),
                instructions=specialist.instructions,
                tools=[self.toolbox.tool(tool, name) for tool in specialist.tools],
                retries=CORRECTIONS,
            )
            with agent_span("specialist"):
                return (await agent.run(request, usage=ctx.usage, usage_limits=self.limits)).output

        name, description = f"ask_{specialist.name}", specialist.description
        return Tool.from_schema(ask, name, description, REQUEST, takes_ctx=True, sequential=True)

    def _model(self, model: str, agent: str) -> BusModel:
        return BusModel(model, agent, self.journal, self.context.seconds)


class AgentRunner:
    """Gives `text` or `json`, `turns`, `tokens`, `specialists`."""

    def __init__(self, runners: Runners) -> None:
        self.runners = runners

    async def run(self, step: AgentStep, context: StepContext, journal: Journal) -> Any:
        """Work until there is an answer. Raises AgentTurnsSpent, AgentAstray and what asking a model raises."""
        crew = Crew(step, context, journal, Toolbox(self.runners, context, journal))
        with agent_span("supervisor"), translated(step):
            done = await crew.supervisor().run(step.prompt, usage=crew.usage, usage_limits=crew.limits)
        return {
            "json" if step.answer else "text": done.output,
            "turns": crew.usage.requests,
            "tokens": {"prompt": crew.usage.input_tokens, "completion": crew.usage.output_tokens},
            "specialists": crew.asked,
        }


@contextlib.contextmanager
def translated(step: AgentStep) -> Iterator[None]:
    """Raise our errors in place of the library's."""
    try:
        yield
    except UsageLimitExceeded as error:
        raise AgentTurnsSpent(f"the agent had no answer after {step.turns} model calls; allow more `turns`") from error
    except UnexpectedModelBehavior as error:
        raise AgentAstray(f"the model did not keep to its tools or answer: {error.message}") from error
