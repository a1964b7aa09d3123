"""The simulated engine does as lines of the prompt tell it: in order, once each, and nothing else."""

import json
from typing import Any

import pytest

from penstock_inference.adapters.engines.sim.engine import SimulatedEngine
from penstock_inference.domain.errors import EngineRefused
from tests.support.engine_calls import a_call, a_sim, heard

TOOLS = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}} for name in ("find", "tell")
]


def said(role: str, content: Any) -> dict[str, Any]:
    """One message."""
    return {"role": role, "content": content}


async def answer(sim: SimulatedEngine, *messages: dict[str, Any], **body: Any) -> str:
    """The text, or `tool arguments`; the same streamed and whole."""
    call = a_call(a_sim(), messages=list(messages), **body)
    streamed, whole = await heard(sim, call), json.loads((await sim.complete(call)).body)
    message = whole["choices"][0]["message"]
    if message.get("tool_calls"):
        function = message["tool_calls"][0]["function"]
        assert streamed.calls[0][3] == function["name"]
        assert streamed.texts[0, "tool.0"] == function["arguments"]
        assert streamed.finish == {0: "tool_calls"}
        return f"{function['name']} {function['arguments']}"
    assert streamed.text == message["content"]
    return str(message["content"])


SCRIPT = said("system", 'You help.\nsim: call find {"q": "water"}\nsim: say It is wet.\nThank you.')


async def test_lines_are_used_up_answer_by_answer(sim: SimulatedEngine) -> None:
    """First the call, then the text, then whatever the engine says by itself."""
    turns = [SCRIPT, said("user", "What is water?")]
    assert await answer(sim, *turns, tools=TOOLS) == 'find {"q": "water"}'
    turns += [said("assistant", None), said("tool", "sim: say I am only a result.")]
    assert await answer(sim, *turns, tools=TOOLS) == "It is wet."
    turns += [said("assistant", "It is wet."), said("user", "And now?")]
    assert "wet" not in await answer(sim, *turns, tools=TOOLS)


async def test_answers_before_a_line_leave_it_unused(sim: SimulatedEngine) -> None:
    """A later message's line is for the answer to that message."""
    turns = [said("user", "Hello"), said("assistant", "Hi."), said("user", [{"type": "text", "text": "sim: say Bye."}])]
    assert await answer(sim, *turns) == "Bye."


async def test_a_condition_chooses_the_line(sim: SimulatedEngine) -> None:
    """The first line whose words were read counts; the line itself is not reading matter."""
    script = said("system", 'sim: if HTTP 500: say {"ok": false}\nsim: say {"ok": true}')
    assert await answer(sim, script, said("user", "got http 500 again")) == '{"ok": false}'
    assert await answer(sim, script, said("user", "got HTTP 200")) == '{"ok": true}'
    assert await answer(sim, said("user", "HTTP 500"), script) == '{"ok": false}'


async def test_the_last_message_can_be_quoted(sim: SimulatedEngine) -> None:
    """In a text as it is, in arguments as JSON."""
    script = said("system", 'sim: call find {"q": "{last}"}\nsim: say Found: {last}')
    question = said("user", 'who said "hi"?')
    assert json.loads((await answer(sim, script, question, tools=TOOLS)).partition(" ")[2]) == {"q": 'who said "hi"?'}
    done = (said("assistant", None), said("tool", "nobody"))
    assert await answer(sim, script, question, *done, tools=TOOLS) == "Found: nobody"


async def test_without_lines_no_tool_is_called(sim: SimulatedEngine) -> None:
    """The engine doesn't pretend to decide."""
    text = await answer(sim, said("user", "Please call find."), tools=TOOLS, tool_choice="auto")
    assert text.endswith(".")
    assert not text.startswith("find")


async def test_a_required_call_takes_the_lines_tool(sim: SimulatedEngine) -> None:
    """Not the first one offered."""
    assert await answer(sim, said("user", "sim: call tell"), tools=TOOLS, tool_choice="required") == "tell {}"


@pytest.mark.parametrize(
    ("line", "body"),
    [
        ("sim: call fly {}", {"tools": TOOLS}),
        ("sim: call find {}", {"tools": TOOLS, "tool_choice": "none"}),
        ("sim: call find [1]", {"tools": TOOLS}),
        ("sim: call find {broken", {"tools": TOOLS}),
        ("sim: call {}", {"tools": TOOLS}),
        ("sim: say no", {"tools": TOOLS, "tool_choice": "required"}),
        ("sim: call find", {"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "tell"}}}),
        ("\n".join(["sim: say again"] * 101), {}),
    ],
)
async def test_a_line_that_cannot_be_followed_is_refused(sim: SimulatedEngine, line: str, body: dict[str, Any]) -> None:
    """With a sentence that says so, before anything is counted."""
    with pytest.raises(EngineRefused, match=r"sim:"):
        await sim.complete(a_call(a_sim(), messages=[said("user", line)], **body))
