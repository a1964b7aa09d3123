"""The simulated engine's answers in the platform's and in OpenAI's shape."""

from collections.abc import Iterator
from itertools import zip_longest
from typing import Any

import msgspec

from penstock_common.contracts.generation import Tokens
from penstock_inference.adapters.engines.sim.script import Reply, Script
from penstock_inference.ports import EngineCall, EngineEvent, Finished, TextDelta, ToolCallStart, Used, WholeAnswer

_encode = msgspec.json.Encoder().encode

Step = tuple[int, EngineEvent]
"""(tokens, event)."""


def steps(script: Script) -> list[Step]:
    """The answer token by token; several choices take turns."""
    if len(script.replies) == 1:
        return list(reply_steps(script.replies[0], script.logprobs))
    turns = zip_longest(*(reply_steps(reply, script.logprobs) for reply in script.replies))
    return [step for turn in turns for step in turn if step is not None]


def reply_steps(reply: Reply, logprobs: bool) -> Iterator[Step]:
    """One choice token by token."""
    choice, channel = reply.choice, reply.channel
    if reply.call:
        yield reply.call.tokens, ToolCallStart(choice, 0, reply.call.id, reply.call.name)
    for index, piece in enumerate(reply.pieces):
        yield 1, TextDelta(choice, channel, piece, _encode([logprob(index, piece)]) if logprobs else b"")


def endings(script: Script) -> list[EngineEvent]:
    """What follows the last token."""
    return [*(Finished(reply.choice, reply.finish) for reply in script.replies), Used(tokens_of(script))]


def tokens_of(script: Script) -> Tokens:
    """The engine's own numbers."""
    return Tokens(script.prompt_tokens, script.tokens)


def logprob(index: int, piece: str) -> dict[str, Any]:
    """A made-up probability."""
    entry = {"token": piece, "logprob": -0.05 * (index % 7), "bytes": list(piece.encode())}
    return {**entry, "top_logprobs": [entry]}


def whole(call: EngineCall, script: Script, created: int) -> WholeAnswer:
    """The answer as one `chat.completion` object; `created` in Unix seconds."""
    usage = tokens_of(script)
    total = usage.prompt + usage.completion
    body = {
        "id": f"chatcmpl-{call.request_id}",
        "object": "chat.completion",
        "created": created,
        "model": call.model.name,
        "choices": [choice_of(reply, script.logprobs) for reply in script.replies],
        "usage": {"prompt_tokens": usage.prompt, "completion_tokens": usage.completion, "total_tokens": total},
    }
    text = "".join(piece for reply in script.replies for piece in reply.pieces)
    return WholeAnswer(_encode(body), usage, {r.choice: r.finish for r in script.replies}, text)


def choice_of(reply: Reply, logprobs: bool) -> dict[str, Any]:
    """One entry of `choices`."""
    text = "".join(reply.pieces)
    message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None}
    if reply.call:
        function = {"name": reply.call.name, "arguments": text}
        message["content"] = None
        message["tool_calls"] = [{"id": reply.call.id, "type": "function", "function": function}]
    given = [logprob(index, piece) for index, piece in enumerate(reply.pieces)] if logprobs else None
    return {
        "index": reply.choice,
        "message": message,
        "logprobs": {"content": given, "refusal": None} if logprobs else None,
        "finish_reason": reply.finish,
    }
