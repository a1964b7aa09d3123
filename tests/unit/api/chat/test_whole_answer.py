"""A streamed answer put together again, as OpenAI's own client reads it."""

import base64
import json
import struct
from typing import Any

import pytest
from openai.types.chat import ChatCompletion

from penstock_api.domain.answer import Answer
from penstock_api.domain.errors import AnswerBroken
from penstock_api.domain.openai_format import Identity
from penstock_api.domain.whole_answer import WholeAnswer, whole_body
from penstock_common.contracts.generation import Outcome, Tokens
from penstock_common.contracts.stream import Delta, Ended, Frame, ToolCall

IDENTITY = Identity("chatcmpl-1", 1_763_719_200, "fast")
TOKENS = Tokens(prompt=5, completion=4)


def ended(finish: dict[int, str], outcome: Outcome = Outcome.SUCCEEDED, **lengths: int) -> Ended:
    given = {f"{key[1:].replace('_', '/', 1).replace('tool', 'tool.')}": value for key, value in lengths.items()}
    return Ended(1, outcome, finish, given, TOKENS)


def whole(*frames: Frame) -> ChatCompletion:
    """What becomes of these frames."""
    answer, put = Answer(streamed=True), WholeAnswer()
    answer.feed(frames)
    while (piece := answer.take()) is not None:
        put.take(piece)
    return ChatCompletion.model_validate_json(put.completion(answer.success(), IDENTITY), strict=True)


def token(text: str) -> dict[str, Any]:
    return {"token": text, "logprob": -0.5, "bytes": None, "top_logprobs": []}


def test_every_choice_has_its_text_its_logprobs_and_its_end() -> None:
    """Choices grow side by side, and are listed in order."""
    found = whole(
        Delta(1, 1, "content", 0, "B", json.dumps([token("B")]).encode()),
        Delta(1, 0, "content", 0, "A"),
        Delta(1, 1, "content", 1, "b", json.dumps([token("b")]).encode()),
        ended({0: "stop", 1: "length"}, _0_content=1, _1_content=2),
    )
    assert [(c.message.content, c.finish_reason) for c in found.choices] == [("A", "stop"), ("Bb", "length")]
    assert found.choices[0].logprobs is None
    logprobs = found.choices[1].logprobs
    assert logprobs is not None
    assert [entry.token for entry in logprobs.content or ()] == ["B", "b"]
    assert (found.id, found.model, found.usage and found.usage.total_tokens) == ("chatcmpl-1", "fast", 9)


def test_tool_calls_stand_in_order_beside_no_content() -> None:
    """Their arguments are one text each."""
    found = whole(
        ToolCall(1, 0, 1, "call_2", "g"),
        ToolCall(1, 0, 0, "call_1", "f"),
        Delta(1, 0, "tool.0", 0, '{"a"'),
        Delta(1, 0, "tool.1", 0, "{}"),
        Delta(1, 0, "tool.0", 4, ":1}"),
        ended({0: "tool_calls"}, _0_tool0=7, _0_tool1=2),
    )
    calls = found.choices[0].message.tool_calls or []
    assert [call.to_dict() for call in calls] == [
        {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}},
        {"id": "call_2", "type": "function", "function": {"name": "g", "arguments": "{}"}},
    ]
    assert found.choices[0].message.content is None


def test_reasoning_and_refusal_have_members_of_their_own() -> None:
    """A refusal stands instead of a content."""
    found = whole(
        Delta(1, 0, "reasoning", 0, "Hm"),
        Delta(1, 0, "refusal", 0, "No"),
        ended({0: "stop"}, _0_reasoning=2, _0_refusal=2),
    )
    message = found.choices[0].message
    assert (message.content, message.refusal, (message.model_extra or {})["reasoning_content"]) == (None, "No", "Hm")


def test_what_was_cancelled_says_so() -> None:
    """It has what existed; `cancelled` is a word of ours."""
    answer, put = Answer(streamed=True), WholeAnswer()
    answer.feed([Delta(1, 0, "content", 0, "So f"), ended({}, Outcome.CANCELLED, _0_content=4)])
    while (piece := answer.take()) is not None:
        put.take(piece)
    (choice,) = json.loads(put.completion(answer.success(), IDENTITY))["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("So f", "cancelled")


def test_an_answer_that_was_not_streamed_is_what_its_client_got() -> None:
    """Chats by their choices, all else as vectors; what is neither is broken."""
    body = json.dumps({"choices": [{"index": 0}], "usage": {}}).encode()
    shown = json.loads(whole_body(body, ended({}), IDENTITY))
    assert (shown["object"], shown["id"], shown["usage"]["total_tokens"]) == ("chat.completion", "chatcmpl-1", 9)
    vector = base64.b64encode(struct.pack("<2f", 0.5, -2.0)).decode()
    body = json.dumps({"data": [{"index": 0, "embedding": vector}]}).encode()
    assert json.loads(whole_body(body, ended({}), IDENTITY))["data"][0]["embedding"] == [0.5, -2.0]
    for broken in (b"{", b"[]", b'{"data": 1}'):
        with pytest.raises(AnswerBroken):
            whole_body(broken, ended({}), IDENTITY)
