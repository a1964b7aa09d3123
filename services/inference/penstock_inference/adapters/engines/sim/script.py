"""What the simulated engine will say: decided before the first token, by prompt, model and seed."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import islice
from typing import Any

import msgspec

from penstock_inference.adapters.engines.sim.cues import MARK, Order, order_for
from penstock_inference.adapters.engines.sim.schema import example
from penstock_inference.adapters.engines.sim.text import digest, sentences
from penstock_inference.domain.errors import EngineRefused
from penstock_inference.domain.tokens import count_prompt, count_tokens, split_tokens

_canonical = msgspec.json.Encoder(order="sorted").encode


class Mishap(StrEnum):
    """How `sim/flaky` misbehaves, if it does."""

    NONE = "none"
    FAILED = "failed"
    OVERLOADED = "overloaded"
    STALL = "stall"
    CUT = "cut"
    GARBAGE = "garbage"


MISHAPS = (*(Mishap.NONE,) * 5, *list(Mishap)[1:])
"""By the last decimal digit of the seed: 0 to 4 go well. Without a seed, by the prompt."""


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call."""

    id: str
    name: str
    tokens: int
    """Tokens of the name."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One choice: its text in pieces of one token each."""

    choice: int
    pieces: list[str]
    finish: str
    call: Call | None = None

    @property
    def channel(self) -> str:
        """Where the pieces belong."""
        return "tool.0" if self.call else "content"

    @property
    def tokens(self) -> int:
        """Completion tokens."""
        return len(self.pieces) + (self.call.tokens if self.call else 0)


@dataclass(frozen=True, slots=True)
class Script:
    """A whole answer, and what goes wrong with it."""

    prompt_tokens: int
    replies: list[Reply]
    mishap: Mishap
    logprobs: bool

    @property
    def tokens(self) -> int:
        """Completion tokens of all choices."""
        return sum(reply.tokens for reply in self.replies)


def script_for(body: dict[str, Any], model: str, canonical: bytes) -> Script:
    """The answer to a request. `canonical` is `canonical_messages(body)`; the temperature doesn't matter.

    Raises EngineRefused where the conversation's own `sim:` lines can't be followed.
    """
    seed = body.get("seed")
    base = digest(canonical, model.encode(), str(seed or 0).encode())
    order = order_for(body["messages"]) if MARK in canonical else None
    replies = [reply_of(body, choice, digest(base, bytes([choice])), order) for choice in range(body.get("n") or 1)]
    mishap = MISHAPS[(base[0] if seed is None else seed) % len(MISHAPS)] if model == "flaky" else Mishap.NONE
    return Script(count_prompt(body), replies, mishap, bool(body.get("logprobs")))


def continuing(script: Script, prefix: str) -> Script:
    """What is left of an answer of one choice after its beginning, which counts as prompt as other engines do it.

    A beginning that it would never have said is followed by the whole answer.
    """
    (reply,) = script.replies
    text = "".join(reply.pieces)
    if not text.startswith(prefix):
        return replace(script, prompt_tokens=script.prompt_tokens + count_tokens(prefix))
    left, said = list(reply.pieces), len(prefix)
    while left and said >= len(left[0]):
        said -= len(left.pop(0))
    if said:
        left[0] = left[0][said:]
    prompt_tokens = script.prompt_tokens + len(reply.pieces) - len(left)
    return replace(script, prompt_tokens=prompt_tokens, replies=[replace(reply, pieces=left)])


def canonical_messages(body: dict[str, Any]) -> bytes:
    """The messages as JSON, equal for equal messages."""
    return _canonical(body.get("messages"))


def reply_of(body: dict[str, Any], choice: int, seed: bytes, order: Order | None = None) -> Reply:
    """One choice, within the request's bounds."""
    name, pieces = ordered(body, order) if order else improvised(body, seed)
    call = Call(f"call_{seed.hex()[:24]}", name, count_tokens(name)) if name else None
    pieces = before_stop(pieces, body.get("stop"))
    return within(Reply(choice, pieces, "tool_calls" if call else "stop", call), token_limit(body))


def improvised(body: dict[str, Any], seed: bytes) -> tuple[str, list[str]]:
    """(tool or nothing, pieces) by the seed: a tool is called only where the request insists on one."""
    if (function := forced_function(body)) is not None:
        return function["name"], object_pieces(function.get("parameters") or {"type": "object"}, seed)
    if (schema := answer_schema(body)) is not None:
        return "", object_pieces(schema, seed)
    return "", sentences(seed)


def ordered(body: dict[str, Any], order: Order) -> tuple[str, list[str]]:
    """(tool or nothing, pieces) as a `sim:` line says. Raises EngineRefused where the request can't take that."""
    names = [] if body.get("tool_choice") == "none" else [function["name"] for function in functions_of(body)]
    if order.tool and order.tool not in names:
        offered = ", ".join(names) or "none"
        raise EngineRefused(f"a sim: line calls the tool {order.tool}; the request offers {offered}")
    forced = forced_function(body)
    wanted = order.tool if body.get("tool_choice") == "required" else forced and forced["name"]
    if forced and (not order.tool or order.tool != wanted):
        raise EngineRefused(f"the request insists on a tool, and a sim: line says otherwise: {order.text[:80]}")
    return order.tool, list(split_tokens(order.text))


def within(reply: Reply, limit: int | None) -> Reply:
    """The reply cut to so many tokens; a call whose name alone is too long is left out."""
    if limit is None or reply.tokens <= limit:
        return reply
    call = reply.call if reply.call and reply.call.tokens <= limit else None
    room = limit - call.tokens if call else 0 if reply.call else limit
    return Reply(reply.choice, reply.pieces[:room], "length", call)


def token_limit(body: dict[str, Any]) -> int | None:
    """The most completion tokens that the request allows."""
    given = [body[name] for name in ("max_tokens", "max_completion_tokens") if body.get(name) is not None]
    return min(given) if given else None


def before_stop(pieces: list[str], stop: str | list[str] | None) -> list[str]:
    """The pieces up to the first stop sequence, which is left out."""
    if not stop:
        return pieces
    text = "".join(pieces)
    found = [at for s in ([stop] if isinstance(stop, str) else stop) if s and (at := text.find(s)) >= 0]
    return list(split_tokens(text[: min(found)])) if found else pieces


def forced_function(body: dict[str, Any]) -> dict[str, Any] | None:
    """The function that the request insists on, if it does."""
    choice, functions = body.get("tool_choice"), functions_of(body)
    if choice == "required":
        return functions[0] if functions else None
    if isinstance(choice, dict):
        wanted = (choice.get("function") or {}).get("name")
        return next((f for f in functions if f["name"] == wanted), None)
    return None


def functions_of(body: dict[str, Any]) -> list[dict[str, Any]]:
    """The functions that the request offers."""
    return [tool["function"] for tool in body.get("tools") or () if tool.get("function")]


def answer_schema(body: dict[str, Any]) -> dict[str, Any] | None:
    """The schema of the JSON object that the request asks for, if it does."""
    wanted = body.get("response_format") or {}
    if wanted.get("type") == "json_object":
        return {"type": "object", "required": ["answer"]}
    if wanted.get("type") == "json_schema":
        schema = (wanted.get("json_schema") or {}).get("schema")
        return schema if isinstance(schema, dict) else {"type": "object"}
    return None


def object_pieces(schema: dict[str, Any], seed: bytes) -> list[str]:
    """A JSON value in pieces of one token each; ASCII, so that no character spans two tokens."""
    return list(split_tokens(json.dumps(example(schema, phrases(seed).__next__))))


def phrases(seed: bytes) -> Iterator[str]:
    """Short texts without end, by the seed."""
    while True:
        yield "".join(islice(sentences(seed), 6))
        seed = digest(seed)
