"""Agents over the bus, with the simulated engine following its script."""

import importlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from penstock_common.contracts.runs import RunShown, RunState
from penstock_common.messaging.connect import apply_topology
from tests.support.databases import Databases
from tests.support.inference import inference_process
from tests.support.tools import Tool
from tests.support.working import Commander, commander, worker_process

pytestmark = pytest.mark.integration

PLACE = {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]}


@pytest.fixture(scope="module", autouse=True)
def _loaded() -> None:
    """Agents' library takes longer to load than these tests' leases last."""
    importlib.import_module("penstock_worker.running.agents.runner")


@pytest.fixture
async def team(platform_databases: Databases, bus_url: str, tmp_path: Path) -> AsyncIterator[Commander]:
    """Inference, a worker, and who commands it, on each bus."""
    await apply_topology(bus_url)
    keyring = tmp_path / "keyring"
    async with (
        inference_process(platform_databases, bus_url, tmp_path),
        worker_process(platform_databases.services["worker"], bus_url, keyring),
        commander(bus_url, keyring) as boss,
    ):
        yield boss


def an_agent(prompt: str, **members: Any) -> dict[str, Any]:
    """A task of one agent."""
    return {"steps": [{"name": "ask", "kind": "agent", "model": "sim/fast", "prompt": prompt, **members}]}


def weather(tool: Tool, **members: Any) -> dict[str, Any]:
    """A tool with its argument in the path."""
    url = f"{tool.url}/weather/{{place}}"
    given = {"kind": "http", "name": "weather", "description": "The weather of a place", "parameters": PLACE}
    return given | {"url": url} | members


def note(tool: Tool) -> dict[str, Any]:
    """A tool with its arguments in the body."""
    text = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
    given = {"kind": "http", "name": "note", "description": "Write a note", "method": "POST", "parameters": text}
    return given | {"url": f"{tool.url}/notes"}


async def kinds_of(boss: Commander, run: RunShown) -> list[str]:
    """What the journal has of a run, without its frame."""
    return [entry.kind for entry in (await boss.read(run.run_id)).entries if entry.kind.endswith("answered")]


async def test_an_agent_calls_two_tools_and_answers(team: Commander, tool: Tool) -> None:
    """Each model answer and each tool's result is one line of the journal; the arguments go where they belong."""
    prompt = (
        'Is it wet?\nsim: call weather {"place": "Aix/../en Provence"}\n'
        'sim: call note {"text": "looked"}\nsim: say It is dry.'
    )
    run = await team.carried_out(an_agent(prompt, tools=[weather(tool), note(tool)]))
    assert (run.state, run.error) == (RunState.SUCCEEDED, "")
    assert run.output["text"] == "It is dry."
    assert (run.output["turns"], run.output["specialists"]) == (3, [])
    assert [asked.path for asked in tool.asked] == ["/weather/Aix%2F..%2Fen%20Provence", "/notes"]
    assert tool.asked[1].json == {"text": "looked"}
    assert await kinds_of(team, run) == ["model.answered", "tool.answered"] * 2 + ["model.answered"]


@pytest.mark.parametrize(("request_text", "chosen"), [("A bug in the code", "coder"), ("A letter to write", "writer")])
async def test_a_supervisor_hands_on_to_one_of_two(team: Commander, tool: Tool, request_text: str, chosen: str) -> None:
    """The specialist works with its own instructions and tools; the supervisor answers with what it said."""
    script = 'sim: if bug: call ask_coder {"request": "{last}"}\nsim: if letter: call ask_writer {"request": "{last}"}'
    specialists = [
        {"name": "coder", "description": "Mends code", "instructions": "sim: say Mended.", "tools": [note(tool)]},
        {"name": "writer", "description": "Writes", "instructions": "sim: say Written."},
    ]
    run = await team.carried_out(
        an_agent(request_text, instructions=f"{script}\nsim: say Done: {{last}}", specialists=specialists)
    )
    assert (run.state, run.error) == (RunState.SUCCEEDED, "")
    assert run.output["specialists"] == [chosen]
    assert run.output["text"] == {"coder": "Done: Mended.", "writer": "Done: Written."}[chosen]
    assert run.output["turns"] == 3


async def test_what_a_tool_refuses_is_told_to_the_model(team: Commander, tool: Tool) -> None:
    """An address that is not allowed fails the call, not the run."""
    inside = weather(tool, url="http://169.254.169.254/{place}")
    prompt = 'sim: call weather {"place": "x"}\nsim: say {last}'
    run = await team.carried_out(an_agent(prompt, tools=[inside]))
    assert run.state is RunState.SUCCEEDED
    assert "error" in run.output["text"]
    assert tool.asked == []


async def test_wrong_arguments_are_mended_by_the_model(team: Commander, tool: Tool) -> None:
    """The model hears which argument is missing, and calls again."""
    wrong = 'sim: call weather {}\nsim: call weather {"place": ".."}\nsim: call weather {"place": "x", "sudo": 1}'
    prompt = f'{wrong}\nsim: call weather {{"place": "Lyon"}}\nsim: say ok'
    run = await team.carried_out(an_agent(prompt, tools=[weather(tool)]))
    assert (run.state, run.error) == (RunState.SUCCEEDED, "")
    assert run.output["turns"] == 5
    assert [asked.path for asked in tool.asked] == ["/weather/Lyon"]


async def test_an_answer_of_a_form(team: Commander) -> None:
    """`answer` asks for an object, and the step gives it as `json`."""
    schema = {"type": "object", "properties": {"up": {"type": "boolean"}}, "required": ["up"]}
    run = await team.carried_out(an_agent('Is it up?\nsim: call answer {"up": false}', answer=schema))
    assert (run.state, run.error) == (RunState.SUCCEEDED, "")
    assert run.output["json"] == {"up": False}


async def test_an_agent_that_finds_no_end(team: Commander, tool: Tool) -> None:
    """Its model calls are counted: specialists share them."""
    prompt = "\n".join(f'sim: call weather {{"place": "p{n}"}}' for n in range(6))
    run = await team.carried_out(an_agent(prompt, tools=[weather(tool)], turns=4))
    assert (run.state, run.error_code) == (RunState.FAILED, "worker.agent_turns_spent")
    assert len(tool.asked) <= 4


async def test_every_model_call_is_charged_to_who_started_the_run(
    team: Commander, platform_databases: Databases, tool: Tool
) -> None:
    """One generation a turn, of the run's tenant and key."""
    prompt = 'sim: call weather {"place": "Lyon"}\nsim: say ok'
    run = await team.carried_out(an_agent(prompt, tools=[weather(tool)]))
    connection = await asyncpg.connect(platform_databases.services["inference"])
    rows = await connection.fetch("select outcome, attempt, completion_tokens from inference.generations")
    await connection.close()
    assert run.output["turns"] == len(rows) == 2
    assert {(row["outcome"], row["attempt"]) for row in rows} == {("succeeded", 1)}
    assert run.output["tokens"]["completion"] == sum(row["completion_tokens"] for row in rows)
