"""What `up` prints can be pasted."""

import json
from typing import Any

import pytest

from penstock.platform.report import greeting, summary

FACTS: dict[str, Any] = {
    "base_url": "http://127.0.0.1:8080",
    "api_key": "psk-of-a-test",
    "models": ["sim/fast", "sim/slow"],
    "data": "/data",
    "bus_restored": None,
    "audit": None,
    "processes": {"supervisor": [1], "api": [2, 3]},
}


def test_the_snippets_are_whole() -> None:
    """The Python part compiles, also line by line as in a prompt; the body of the curl line is JSON."""
    text = greeting(FACTS)
    snippet = text[text.index("from openai") :]
    compile(snippet, "snippet", "exec")
    assert "\n\nprint()" in snippet
    body = text[text.index("-d '") + 4 :].partition("'")[0]
    assert json.loads(body)["model"] == "sim/fast"


@pytest.mark.parametrize(("models", "simulated"), [(["sim/fast"], True), (["gpt-x", "sim/fast"], False)])
def test_it_says_plainly_when_answers_are_simulated(models: list[str], simulated: bool) -> None:
    """With an engine the note is gone, and the snippets ask the engine."""
    text = greeting({**FACTS, "models": models})
    assert ("simulated engine serves" in text) is simulated
    assert f'"model": "{models[0]}"' in text


def test_status_names_every_process() -> None:
    """One line a program, its own process first."""
    assert "api        2 3" in summary(FACTS)


def test_status_tells_of_a_bus_that_was_emptied() -> None:
    """When, and how often; nothing where it never was."""
    restored = {"restored_at": "2026-11-21T16:00:00+00:00", "times": 2, "changes": ["create stream API"]}
    told = summary({**FACTS, "bus_restored": restored})
    assert "was emptied, made anew at 2026-11-21T16:00:00+00:00 (2 times since the start)" in told
    assert "made anew" not in summary(FACTS)
