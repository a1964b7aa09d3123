"""How another attempt goes on with an answer that its client has a part of."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from penstock_common.contracts.base import Decision
from penstock_common.contracts.generation import Measure, Tokens
from penstock_common.contracts.stream import Delta, Frame, ToolCall, channel_key
from penstock_common.errors import ContractViolated, Fault, PenstockError
from penstock_inference.domain.catalogue import Model
from penstock_inference.domain.continuing import TakeOver, taken_by
from penstock_inference.domain.dialects import DIALECTS
from penstock_inference.domain.output import Output

CONTENT = channel_key(0, "content")
CONSTRAINTS = (
    "grammar",
    "json_schema",
    "structured_outputs",
    "guided_json",
    "guided_regex",
    "guided_choice",
    "guided_grammar",
)
"""Fields by which engines bind an answer to a form, from its first character on."""


class AnswerDiverged(PenstockError):
    """The answer was cut, and came out different when it was generated again; ask again for a whole one."""

    code = "inference.answer_diverged"
    fault = Fault.UNAVAILABLE


class AnswerCut(PenstockError):
    """The answer was cut, and this model can't go on with it; ask again for a whole one."""

    code = "inference.answer_cut"
    fault = Fault.UNAVAILABLE


class Way(StrEnum):
    """What a second attempt does."""

    ANEW = "anew"
    """It generates: nobody has anything to hold it against."""
    CONTINUE = "continue"
    """The engine goes on where the text ends."""
    VERIFY = "verify"
    """It generates again what will be the same, and leaves out what the client has."""
    RESTART = "restart"
    """It generates anew, and the client is told so."""
    GIVE_UP = "give_up"
    """No engine is called."""


@dataclass(frozen=True, slots=True)
class Held:
    """What an api process has of an answer."""

    output: Output
    restarts: bool = False
    """Whether its client takes an answer that begins anew."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A way, and why it is taken."""

    way: Way
    reason: str
    prefix: str = ""
    """What the engine is given as the beginning of its answer."""

    @property
    def decision(self) -> Decision:
        """For whoever asks later."""
        return Decision("take_over", self.way.value, self.reason)

    @property
    def keeps(self) -> bool:
        """Whether what the client has stays the beginning of the answer."""
        return self.way in (Way.CONTINUE, Way.VERIFY, Way.GIVE_UP)


def plan(model: Model, body: dict[str, Any], held: Held | None, *, refused: bool = False) -> Plan:
    """How to go on with the request of this body; `refused` where the engine would not continue the prefix."""
    if held is None:
        return Plan(Way.ANEW, "nobody_waits")
    if held.output.is_empty:
        return Plan(Way.ANEW, "nothing_delivered")
    if model.policy is TakeOver.FAIL:
        return Plan(Way.GIVE_UP, "policy")
    against = "policy"
    if model.policy is TakeOver.PREFIX:
        text = held.output.channels[CONTENT].text() if CONTENT in held.output.channels else ""
        prefix = text if model.simulated else taken_by(DIALECTS[model.dialect].prefill, text)
        against = "engine_refused" if refused else against_prefix(body, held.output, prefix)
        if not against:
            return Plan(Way.CONTINUE, "prefix", prefix)
    if reason := determined_by(model, body):
        return Plan(Way.VERIFY, reason)
    if held.restarts:
        return Plan(Way.RESTART, "client_restarts")
    return Plan(Way.GIVE_UP, "not_deterministic" if against == "policy" else against)


def against_prefix(body: dict[str, Any], output: Output, prefix: str) -> str:
    """Why a request can't be continued by the beginning of its answer; empty where it can."""
    begun = {key for key, channel in output.channels.items() if channel.length}
    form = body.get("response_format") or {}
    reasons = {
        "several_choices": (body.get("n") or 1) > 1,
        "tool_call_begun": bool(output.calls),
        "more_than_content": begun != {CONTENT},
        "logprobs": bool(body.get("logprobs")),
        "response_format": form.get("type", "text") != "text" or any(body.get(name) for name in CONSTRAINTS),
        "prefilled": body["messages"][-1].get("role") == "assistant",
        "blank": not prefix,
    }
    return next((reason for reason, holds in reasons.items() if holds), "")


def determined_by(model: Model, body: dict[str, Any]) -> str:
    """What makes the answer come out the same again; empty where nothing does."""
    if model.simulated:
        return "simulated"
    if body.get("temperature") == 0:
        return "temperature"
    return "" if body.get("seed") is None else "seed"


def output_of(frames: Iterable[Frame]) -> Output:
    """An answer's beginning from its frames. Raises ContractViolated where something between them is missing."""
    output = Output()
    for frame in frames:
        if isinstance(frame, ToolCall):
            output.add_call(frame.choice, frame.index, frame.id, frame.name)
        elif isinstance(frame, Delta):
            if frame.offset != output.lengths().get(channel_key(frame.choice, frame.channel), 0):
                raise ContractViolated("an answer's beginning has a gap")
            output.add_text(frame.choice, frame.channel, frame.text, frame.logprobs)
    return output


def continued(tokens: Tokens, prefix: int) -> Tokens:
    """The counts of a whole answer whose first `prefix` tokens, an estimate, its engine took for prompt."""
    prompt = max(tokens.prompt - prefix, 0)
    return Tokens(
        prompt,
        tokens.completion + prefix,
        cached=min(tokens.cached, prompt),
        reasoning=tokens.reasoning,
        measure=Measure.ESTIMATED,
    )
