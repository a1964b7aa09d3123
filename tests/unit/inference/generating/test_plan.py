"""Which way a second attempt goes, and why."""

from typing import Any

import msgspec
import pytest

from penstock_common.contracts.base import Decision
from penstock_common.contracts.generation import Measure, Tokens
from penstock_common.contracts.stream import Delta, Frame, ToolCall
from penstock_common.errors import ContractViolated
from penstock_inference.domain.catalogue import Model
from penstock_inference.domain.takeover import Held, Plan, Way, continued, output_of, plan
from tests.support.engine_calls import a_model, a_sim

HALF: list[Frame] = [Delta(1, 0, "content", 0, "Half of "), Delta(1, 0, "content", 8, "it ")]
ASKED = {"role": "user", "content": "Go on."}
VLLM, OLLAMA, CLAUDE = (a_model(dialect=name, take_over="") for name in ("vllm", "ollama", "anthropic"))
PREFILLED = {"messages": [ASKED, {"role": "assistant", "content": "Well"}]}
THOUGHT: list[Frame] = [Delta(1, 0, "reasoning", 0, "Hm."), *HALF]
CALLED: list[Frame] = [*HALF, ToolCall(1, 0, 0, "a", "look")]
SCHEMA = {"response_format": {"type": "json_schema"}}


def policy(model: Model, take_over: str) -> Model:
    """The model under a policy of its operator's."""
    return msgspec.structs.replace(model, take_over=take_over)


def planned(model: Model, frames: list[Frame], *, restarts: bool = False, refused: bool = False, **body: Any) -> Plan:
    """The plan for a request of which an api process holds so much."""
    held = Held(output_of(frames), restarts)
    return plan(model, {"messages": [ASKED], **body}, held, refused=refused)


WAYS: list[tuple[Model, list[Frame], dict[str, Any], tuple[Way, str]]] = [
    (VLLM, [], {}, (Way.ANEW, "nothing_delivered")),
    (policy(VLLM, "fail"), [], {}, (Way.ANEW, "nothing_delivered")),
    (VLLM, HALF, {}, (Way.CONTINUE, "prefix")),
    (VLLM, HALF, {"n": 1, "response_format": {"type": "text"}, "seed": 4}, (Way.CONTINUE, "prefix")),
    (a_sim(), HALF, {}, (Way.CONTINUE, "prefix")),
    (policy(VLLM, "fail"), HALF, {"temperature": 0}, (Way.GIVE_UP, "policy")),
    (policy(VLLM, "verify"), HALF, {"temperature": 0}, (Way.VERIFY, "temperature")),
    (policy(VLLM, "verify"), HALF, {"seed": 0}, (Way.VERIFY, "seed")),
    (policy(a_sim(), "verify"), HALF, {}, (Way.VERIFY, "simulated")),
    (policy(VLLM, "verify"), HALF, {}, (Way.GIVE_UP, "not_deterministic")),
    (OLLAMA, HALF, {"temperature": 0.0}, (Way.VERIFY, "temperature")),
    (OLLAMA, HALF, {"temperature": 0.1, "seed": None}, (Way.GIVE_UP, "not_deterministic")),
    (CLAUDE, HALF, {}, (Way.GIVE_UP, "not_deterministic")),
    (policy(CLAUDE, "prefix"), HALF, {}, (Way.CONTINUE, "prefix")),
    (policy(CLAUDE, "prefix"), [Delta(1, 0, "content", 0, " \n")], {}, (Way.GIVE_UP, "blank")),
    (VLLM, HALF, {"n": 2}, (Way.GIVE_UP, "several_choices")),
    (VLLM, HALF, {"logprobs": True}, (Way.GIVE_UP, "logprobs")),
    (VLLM, HALF, SCHEMA, (Way.GIVE_UP, "response_format")),
    (VLLM, HALF, {"guided_json": {"type": "object"}}, (Way.GIVE_UP, "response_format")),
    (VLLM, HALF, {**SCHEMA, "temperature": 0}, (Way.VERIFY, "temperature")),
    (VLLM, HALF, PREFILLED, (Way.GIVE_UP, "prefilled")),
    (VLLM, THOUGHT, {}, (Way.GIVE_UP, "more_than_content")),
    (VLLM, CALLED, {}, (Way.GIVE_UP, "tool_call_begun")),
    (VLLM, CALLED, {"seed": 1}, (Way.VERIFY, "seed")),
]


@pytest.mark.parametrize(("model", "frames", "body", "wanted"), WAYS)
def test_the_way(model: Model, frames: list[Frame], body: dict[str, Any], wanted: tuple[Way, str]) -> None:
    """By the deployment's policy, by what was delivered, by what the request allows; the reason is recorded."""
    chosen = planned(model, frames, **body)
    assert (chosen.way, chosen.reason) == wanted
    assert chosen.decision == Decision("take_over", *wanted)
    assert bool(chosen.prefix) is (chosen.way is Way.CONTINUE)


def test_who_restarts_is_never_given_up_but_by_policy() -> None:
    """A native stream is told of an answer that begins anew; what can be continued still is."""
    assert planned(OLLAMA, HALF, restarts=True).way is Way.RESTART
    assert planned(VLLM, HALF, restarts=True, n=2).way is Way.RESTART
    assert planned(VLLM, HALF, restarts=True).way is Way.CONTINUE
    assert planned(OLLAMA, HALF, restarts=True, seed=1).way is Way.VERIFY
    assert planned(policy(OLLAMA, "fail"), HALF, restarts=True).way is Way.GIVE_UP


def test_a_prefix_that_the_engine_refused_is_not_offered_again() -> None:
    """The next best way is taken."""
    assert planned(VLLM, HALF, refused=True) == Plan(Way.GIVE_UP, "engine_refused")
    assert planned(VLLM, HALF, refused=True, temperature=0) == Plan(Way.VERIFY, "temperature")


def test_nobody_who_waits_means_nothing_to_compare() -> None:
    """The client is gone or comes back with its own position; the whole answer is generated for it."""
    assert plan(OLLAMA, {"messages": [ASKED]}, None).way is Way.ANEW


@pytest.mark.parametrize(("model", "prefix"), [(VLLM, "Half of it "), (policy(CLAUDE, "prefix"), "Half of it")])
def test_the_prefix_is_what_the_engine_takes(model: Model, prefix: str) -> None:
    """Anthropic refuses a beginning that ends in white space."""
    assert planned(model, HALF).prefix == prefix


def test_a_beginning_with_a_gap_is_none() -> None:
    """What an api process says must be whole."""
    with pytest.raises(ContractViolated):
        output_of([Delta(1, 0, "content", 3, "late")])


def test_a_continued_answer_counts_as_one() -> None:
    """What the engine took for prompt is moved to the answer; the count is an estimate, and never below zero."""
    assert continued(Tokens(30, 5, cached=28, reasoning=1), 10) == Tokens(20, 15, 20, 1, Measure.ESTIMATED)
    assert continued(Tokens(3, 5), 10) == Tokens(0, 15, measure=Measure.ESTIMATED)
