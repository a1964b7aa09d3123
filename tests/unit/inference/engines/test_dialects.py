"""What each engine is sent."""

from typing import Any

import pytest

from penstock_inference.domain.dialects import DIALECTS, dialect_of, engine_request
from penstock_inference.domain.errors import EngineRefused

BODY: dict[str, Any] = {"model": "ours", "messages": [], "user": "u", "stream": True, "stream_options": {"x": 1}}

LIMITS = [
    ("openai-compatible", {"max_tokens": 5}, {"max_tokens": 5}),
    ("openai-compatible", {"max_completion_tokens": 5}, {"max_completion_tokens": 5}),
    ("vllm", {"max_tokens": 5, "max_completion_tokens": 6}, {"max_tokens": 5, "max_completion_tokens": 6}),
    ("openai", {"max_tokens": 5}, {"max_completion_tokens": 5}),
    ("openai", {"max_tokens": 5, "max_completion_tokens": 4}, {"max_completion_tokens": 4}),
    ("deepseek", {"max_completion_tokens": 5}, {"max_tokens": 5}),
    ("ollama", {"max_completion_tokens": 5}, {"max_tokens": 5}),
    ("llamacpp", {"max_completion_tokens": 5}, {"max_tokens": 5}),
    ("tgi", {"max_completion_tokens": 5, "max_tokens": None}, {"max_tokens": 5}),
]


@pytest.mark.parametrize(("name", "given", "sent"), LIMITS)
def test_the_limit_has_the_engines_name(name: str, given: dict[str, Any], sent: dict[str, Any]) -> None:
    """Clients use either name; the engine gets the one it knows, and the smaller number."""
    request = engine_request({**BODY, **given}, DIALECTS[name], "theirs", streamed=True)
    assert {k: v for k, v in request.items() if k.startswith("max_") and v is not None} == sent


@pytest.mark.parametrize("name", DIALECTS)
def test_ours_is_replaced(name: str) -> None:
    """Model, stream and counts are ours to say; the client's body is left as it was."""
    streamed = engine_request(BODY, DIALECTS[name], "theirs", streamed=True)
    whole = engine_request(BODY, DIALECTS[name], "theirs", streamed=False)
    assert (streamed["model"], streamed["stream"], streamed["stream_options"]) == (
        "theirs",
        True,
        {"include_usage": True},
    )
    assert (whole["stream"], "stream_options" in whole) == (False, False)
    assert BODY["model"] == "ours"


@pytest.mark.parametrize("name", DIALECTS)
def test_several_choices(name: str) -> None:
    """An engine that gives one choice only is never asked for more in silence."""
    dialect = DIALECTS[name]
    assert engine_request({**BODY, "n": 1}, dialect, "theirs", streamed=True)["n"] == 1
    if dialect.choices:
        assert engine_request({**BODY, "n": 2}, dialect, "theirs", streamed=True)["n"] == 2
    else:
        with pytest.raises(EngineRefused):
            engine_request({**BODY, "n": 2}, dialect, "theirs", streamed=True)


def test_fields_that_engines_refuse_are_dropped() -> None:
    """OpenAI's own book-keeping goes to OpenAI only."""
    body = {**BODY, "store": True, "metadata": {}}
    assert {"store", "metadata", "user"} <= set(engine_request(body, DIALECTS["openai"], "m", streamed=False))
    assert not {"store", "metadata", "user"} & set(engine_request(body, DIALECTS["tgi"], "m", streamed=False))


@pytest.mark.parametrize(
    ("engine", "url", "name"),
    [
        ("openai-compatible", "https://api.openai.com/v1", "openai"),
        ("openai-compatible", "https://api.deepseek.com/v1", "deepseek"),
        ("openai-compatible", "http://127.0.0.1:11434/v1", "ollama"),
        ("openai-compatible", "http://127.0.0.1:8000/v1", "openai-compatible"),
        ("vllm", "http://127.0.0.1:11434/v1", "vllm"),
    ],
)
def test_dialects_are_known_by_their_address(engine: str, url: str, name: str) -> None:
    """What the operator says wins; else the address tells."""
    assert dialect_of(engine, url) == name
