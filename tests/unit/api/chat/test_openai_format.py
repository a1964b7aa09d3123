"""What is written, as OpenAI's own client reads it."""

import json
from typing import Any
from zlib import crc32

import pytest
from openai._streaming import SSEDecoder
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from penstock_api.domain.answer import Answer
from penstock_api.domain.errors import AnswerBroken
from penstock_api.domain.openai_format import BLOCK, EventWriter, Identity, completion, error_object
from penstock_common.contracts.generation import Outcome, Tokens
from penstock_common.contracts.stream import Delta, Ended, Failure, Frame, ToolCall

IDENTITY = Identity("chatcmpl-1", 1_763_719_200, "fast")
TOKENS = Tokens(prompt=5, completion=4, cached=2, reasoning=1)


def ended(**lengths: int) -> Ended:
    return Ended(1, Outcome.SUCCEEDED, {0: "stop"}, {f"0/{k}": v for k, v in lengths.items()}, TOKENS)


def events(*frames: Frame, usage: bool = False) -> list[Any]:
    """Everything a writer makes of these frames, by the official decoder."""
    answer, writer = Answer(streamed=True), EventWriter(IDENTITY, usage)
    answer.feed(frames)
    written = writer.render(answer) + writer.end(answer, answer.success())
    return list(SSEDecoder().iter_bytes(iter([written])))


def chunks(*frames: Frame, usage: bool = False) -> list[ChatCompletionChunk]:
    return [ChatCompletionChunk.model_validate_json(e.data) for e in events(*frames, usage=usage)[:-1]]


def test_a_stream_has_openais_members_in_each_chunk() -> None:
    """Role, text, finish reason, usage, done; null where there is nothing."""
    found = [json.loads(e.data) for e in events(Delta(1, 0, "content", 0, "Hi\n"), ended(content=3), usage=True)[:-1]]
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_763_719_200, "model": "fast"}
    choices = [
        {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        for delta, reason in (
            ({"role": "assistant", "content": "", "refusal": None}, None),
            ({"content": "Hi\n"}, None),
            ({}, "stop"),
        )
    ]
    assert found[:3] == [head | {"choices": [choice], "usage": None} for choice in choices]
    assert found[3]["choices"] == []
    assert found[3]["usage"] == {
        "prompt_tokens": 5,
        "completion_tokens": 4,
        "total_tokens": 9,
        "prompt_tokens_details": {"cached_tokens": 2},
        "completion_tokens_details": {"reasoning_tokens": 1},
    }


def test_each_event_has_the_position_as_its_id_and_the_last_is_done() -> None:
    """The id says what the client has after this event, the events of the end among it."""
    ab, abc = f"1:0c=2.{crc32(b'ab'):x}", f"1:0c=3.{crc32(b'abc'):x}"
    frames = (Delta(1, 0, "content", 0, "ab"), Delta(1, 0, "content", 2, "c"), ended(content=3))
    assert [e.id for e in events(*frames)] == ["1:0", ab, abc, f"{abc}!1", f"{abc}!2"]
    assert [e.id for e in events(*frames, usage=True)][-2:] == [f"{abc}!2", f"{abc}!3"]
    assert events(*frames)[-1].data == "[DONE]"


def test_channels_become_the_members_that_clients_know() -> None:
    """Reasoning, refusal, and tool calls by index."""
    found = chunks(
        Delta(1, 0, "reasoning", 0, "Hm"),
        Delta(1, 0, "refusal", 0, "No"),
        ToolCall(1, 0, 2, "call_9", "f"),
        Delta(1, 0, "tool.2", 0, '{"a":"é😀"}'),
        ended(**{"reasoning": 2, "refusal": 2, "tool.2": 10}),
    )
    deltas = [c.choices[0].delta for c in found]
    assert getattr(deltas[1], "reasoning_content") == "Hm"  # noqa: B009 (not in OpenAI's type)
    assert deltas[2].refusal == "No"
    assert deltas[3].tool_calls is not None
    assert deltas[4].tool_calls is not None
    assert (deltas[3].tool_calls[0].index, deltas[3].tool_calls[0].id) == (2, "call_9")
    assert deltas[4].tool_calls[0].function is not None
    assert deltas[4].tool_calls[0].function.arguments == '{"a":"é😀"}'


def test_no_more_is_rendered_than_one_block() -> None:
    """A client that does not read keeps text waiting, not events."""
    answer, writer = Answer(streamed=True), EventWriter(IDENTITY, False)
    answer.feed([Delta(1, 0, "content", i * 1000, "x" * 1000) for i in range(1000)])
    assert BLOCK <= len(writer.render(answer)) < 2 * BLOCK
    assert answer.has_news
    whole, writer = Answer(streamed=True), EventWriter(IDENTITY, False)
    whole.feed([Delta(1, 0, "content", 0, "😀" * 60_000)])
    assert BLOCK <= len(writer.render(whole)) < 3 * BLOCK


def test_empty_answer_still_greets() -> None:
    """A choice without text has its role and its finish reason."""
    found = chunks(ended(content=0))
    assert [c.choices[0].delta.role for c in found] == ["assistant", None]


def test_a_stream_that_was_stopped_ends_with_what_it_has() -> None:
    """Each choice that was begun was cancelled unless it had finished; the first always was there."""
    stopped = Ended(1, Outcome.CANCELLED, {1: "stop"}, {"1/content": 2, "2/content": 1}, TOKENS)
    said = events(Delta(1, 1, "content", 0, "ab"), Delta(1, 2, "content", 0, "c"), stopped, usage=True)
    found = [json.loads(event.data) for event in said[:-1]]
    reasons = [(c["index"], c["finish_reason"]) for chunk in found for c in chunk["choices"] if c["finish_reason"]]
    assert reasons == [(0, "cancelled"), (1, "stop"), (2, "cancelled")]
    assert found[-1]["usage"]["total_tokens"] == 9


def test_whole_answer_keeps_what_the_engine_added() -> None:
    """Only identity, model and usage are ours."""
    choice = {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop", "logprobs": None}
    engine = {"id": "x", "model": "up", "choices": [choice], "usage": {"total_tokens": 1}, "timings": {"a": 1.5}}
    body = completion(json.dumps(engine).encode(), ended(), IDENTITY)
    answer = ChatCompletion.model_validate_json(body)
    assert (answer.id, answer.model, answer.object) == ("chatcmpl-1", "fast", "chat.completion")
    assert answer.usage is not None
    assert answer.usage.total_tokens == 9
    assert json.loads(body)["timings"] == {"a": 1.5}


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"\xff", b"{"])
def test_what_is_no_answer_is_not_passed_on(body: bytes) -> None:
    """An engine's nonsense is an error of ours."""
    with pytest.raises(AnswerBroken):
        completion(body, ended(), IDENTITY)


def test_error_object_has_openais_types() -> None:
    """By what the caller can do about it."""
    types = {
        fault: error_object(Failure("x", fault, "m"))["error"]["type"]
        for fault in ("invalid", "unauthenticated", "limited", "unavailable", "crash")
    }
    assert types == {
        "invalid": "invalid_request_error",
        "unauthenticated": "authentication_error",
        "limited": "rate_limit_error",
        "unavailable": "server_error",
        "crash": "server_error",
    }
