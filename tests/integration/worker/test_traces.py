"""What a run's trace says of its steps, agents and tools, on both buses: their kind, never a client's words."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from penstock_common.messaging.connect import apply_topology
from penstock_common.settings import TraceSettings
from penstock_common.telemetry import exported_traces
from tests.integration.worker.test_agents import an_agent, weather
from tests.support.conventions import broken
from tests.support.databases import Databases
from tests.support.inference import inference_process
from tests.support.otlp import Collector, Received, collector
from tests.support.tools import Tool
from tests.support.working import Commander, commander, settings, worker_process

pytestmark = pytest.mark.integration

NO_TAKE_OVER = 60.0  # seconds of a lease: each span is there once, however busy the machine is


@pytest.fixture
def receiver(platform_databases: Databases, bus_url: str, tmp_path: Path) -> Iterator[Collector]:
    """A collector that this process sends to."""
    with collector() as made:
        told = settings(platform_databases.services["worker"], bus_url, tmp_path / "keyring")
        traces = TraceSettings.model_validate({"endpoint": made.url})
        with exported_traces("test", told.model_copy(update={"traces": traces})):
            yield made


@pytest.fixture
async def team(
    receiver: Collector, platform_databases: Databases, bus_url: str, tmp_path: Path
) -> AsyncIterator[Commander]:
    """Inference and a worker that trace, and who commands them."""
    await apply_topology(bus_url)
    keyring = tmp_path / "keyring"
    async with (
        inference_process(platform_databases, bus_url, tmp_path),
        worker_process(platform_databases.services["worker"], bus_url, keyring, lease=NO_TAKE_OVER),
        commander(bus_url, keyring) as boss,
    ):
        yield boss


def line_of(span: Received, receiver: Collector) -> list[str]:
    """Its name and those of the spans that led to it within the run, outermost first."""
    names = [name for _, name in receiver.line(span)]
    return names[names.index("invoke_workflow") :]


async def traced_run(boss: Commander, receiver: Collector, task: dict[str, Any]) -> list[Received]:
    """The spans of a run that ended, each of which keeps the conventions."""
    run = await boss.carried_out(task)
    ours = {"penstock.run.id": str(run.run_id)}

    def roots() -> list[Received]:
        return [s for s in receiver.spans if s.name == "invoke_workflow" and s.attributes.items() >= ours.items()]

    receiver.wait(lambda: bool(roots()))
    spans = receiver.trace(roots()[0].trace)
    assert receiver.refused == []
    assert [problem for span in spans for problem in broken(span)] == []
    return spans


async def test_an_agent_its_tools_and_specialists(team: Commander, receiver: Collector, tool: Tool) -> None:
    """Each is in its place; a tool that the operator allowed hears of its span; nothing that a client wrote is said."""
    calls = 'sim: call weather {"place": "Secretville"}\nsim: call ask_private_coder {"request": "hush"}'
    coder = {"name": "private_coder", "description": "Hush", "instructions": 'sim: call weather {"place": "Hush"}'}
    coder["instructions"] += "\nsim: say Hush."
    task = an_agent(
        f"{calls}\nsim: say It is dry.", tools=[weather(tool)], specialists=[{**coder, "tools": [weather(tool)]}]
    )
    spans = await traced_run(team, receiver, task)
    supervisor = ["invoke_workflow", "step agent", "invoke_agent supervisor"]
    lines = [line_of(s, receiver) for s in spans if s.name.startswith(("execute_tool", "invoke_agent s"))]
    assert sorted(lines) == sorted(
        [
            supervisor,
            [*supervisor, "execute_tool http"],
            [*supervisor, "invoke_agent specialist"],
            [*supervisor, "invoke_agent specialist", "execute_tool http"],
        ]
    )
    asked = [line_of(s, receiver)[:-1] for s in spans if s.name.startswith("publish cmd.inference")]
    assert sorted(asked) == sorted([supervisor] * 3 + [[*supervisor, "invoke_agent specialist"]] * 2)
    told = {asked.headers["traceparent"].split("-")[2] for asked in tool.asked}
    assert told == {s.id for s in spans if s.name == "execute_tool http"}
    for text in ("weather", "Secretville", "coder", "ush", "dry", tool.url):
        assert not any(text.encode() in body for body in receiver.bodies), text


async def test_failures_are_said_by_their_codes(team: Commander, receiver: Collector, tool: Tool) -> None:
    """A tool's failure is its own; a step's, with how often it was tried, is the run's too."""
    inside = weather(tool, url="http://169.254.169.254/{place}")
    agent = an_agent('sim: call weather {"place": "x"}\nsim: say ok', tools=[inside])["steps"]
    tool.statuses = [503, 404]
    failing = {"name": "fetch", "kind": "http", "url": f"{tool.url}/script", "retries": 2}
    spans = await traced_run(team, receiver, {"steps": [*agent, failing]})
    failed = {s.name: s.attributes["error.type"] for s in spans if s.failed}
    assert failed == {
        "execute_tool http": "common.address_refused",
        "step http": "worker.tool_refused",
        "invoke_workflow": "worker.tool_refused",
    }
    attempts = {s.name: s.attributes.get("penstock.attempt") for s in spans if s.name.startswith("step ")}
    assert attempts == {"step agent": None, "step http": 2}
