"""Answers over a real socket and a real bus."""

import asyncio
from typing import Any

import openai
import pytest

from penstock_common.contracts.generation import OnDisconnect
from penstock_common.contracts.stream import Delta, ToolCall
from penstock_common.ids import uuid7
from tests.support.api import USER
from tests.support.chat import QUESTION, Chat
from tests.support.fake_inference import TEXT, Call, deltas, ended, failed


def openai_client(chat: Chat) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=f"{chat.url}/v1", api_key=USER, max_retries=0)


async def chunks_of(chat: Chat, **members: Any) -> list[Any]:
    """The official client's reading of a stream."""
    arguments: dict[str, Any] = {"model": "sim/fast", "messages": QUESTION, "stream": True} | members
    return [chunk async for chunk in await openai_client(chat).chat.completions.create(**arguments)]


async def test_unstreamed_answer_carries_our_id_the_asked_model_and_the_usage(chat_on_both: Chat) -> None:
    """What the engine calls itself is not passed on."""
    chat = chat_on_both
    response = await chat.post(model="fast")
    answer = response.json()
    assert response.status_code == 200
    assert answer["id"] == f"chatcmpl-{response.headers['x-request-id']}"
    assert answer["model"] == "fast"
    assert answer["choices"][0]["message"]["content"] == "".join(TEXT)
    assert answer["usage"]["total_tokens"] == 10


async def test_command_carries_what_was_decided_and_the_sealed_body(chat: Chat) -> None:
    """Inference gets the catalogue's name, the trail, the trace, and the client's own JSON."""
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    headers = {"traceparent": f"00-{trace}-00f067aa0ba902b7-01", "x-penstock-on-disconnect": "continue"}
    response = await chat.post(model="fast", headers=headers, vendor_option={"a": [1]})
    call = chat.inference.calls[0]
    assert call.body["vendor_option"] == {"a": [1]}
    assert str(call.command.request_id) == response.headers["x-request-id"]
    assert (call.command.model, call.command.catalogue_version) == ("sim/fast", 3)
    assert call.command.on_disconnect is OnDisconnect.CONTINUE
    assert [d.step for d in call.command.decisions] == ["authenticate", "entitle", "resolve_model", "accept"]
    assert (call.command.deadline - call.command.accepted_at).total_seconds() == 300


async def test_stream_is_read_by_the_official_client(chat_on_both: Chat) -> None:
    """Role first, then the text, then the finish reason, then the usage."""
    chat = chat_on_both
    chunks = await chunks_of(chat, stream_options={"include_usage": True})
    assert chunks[0].choices[0].delta.role == "assistant"
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "".join(TEXT)
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
    assert chunks[-1].choices == []
    assert chunks[-1].usage.total_tokens == 10
    assert all(c.usage is None for c in chunks[:-1])


async def test_stream_without_usage_option_has_no_usage(chat: Chat) -> None:
    """The member is there only for those who asked."""
    response = await chat.post(stream=True)
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert response.headers["cache-control"] == "no-cache"
    assert response.headers["x-accel-buffering"] == "no"
    assert "usage" not in response.text
    assert response.text.endswith("data: [DONE]\n\n")


async def test_tool_calls_and_choices_arrive_in_their_places(chat: Chat) -> None:
    """Arguments are appended to the call of the same choice and index."""

    async def script(call: Call) -> None:
        call.say(ToolCall(1, 0, 0, "call_1", "weather"), *deltas('{"city":', '"Bern"}', channel="tool.0"))
        call.say(*deltas("Also.", choice=1), *deltas("Thinking", choice=1, channel="reasoning"))
        lengths = {"0/tool.0": 15, "1/content": 5, "1/reasoning": 8}
        call.say(ended(lengths, finish={0: "tool_calls", 1: "stop"}))

    chat.inference.script = script
    chunks = await chunks_of(chat, n=2)
    calls = [c.choices[0].delta.tool_calls[0] for c in chunks if c.choices[0].delta.tool_calls]
    assert (calls[0].id, calls[0].type, calls[0].function.name) == ("call_1", "function", "weather")
    assert "".join(c.function.arguments for c in calls) == '{"city":"Bern"}'
    second = [c.choices[0].delta for c in chunks if c.choices[0].index == 1]
    assert "".join(d.content or "" for d in second) == "Also."
    assert "".join(getattr(d, "reasoning_content", None) or "" for d in second) == "Thinking"
    assert {c.choices[0].index: c.choices[0].finish_reason for c in chunks} == {0: "tool_calls", 1: "stop"}


async def test_failure_before_the_first_byte_has_a_status(chat: Chat) -> None:
    """Streamed or not, the engine's trouble is an HTTP error with its code."""

    async def script(call: Call) -> None:
        call.say(failed("inference.engine_overloaded", "limited", retry_after=2.5))

    chat.inference.script = script
    for stream in (False, True):
        response = await chat.post(stream=stream)
        assert response.status_code == 429
        assert response.headers["retry-after"] == "3"
        assert response.json()["error"]["code"] == "inference.engine_overloaded"


async def test_failure_in_mid_stream_is_an_event_and_no_done(chat: Chat) -> None:
    """A truncated answer never looks like a whole one."""

    async def script(call: Call) -> None:
        call.say(*deltas(*TEXT))
        call.say(failed("inference.engine_cut", "unavailable"))

    chat.inference.script = script
    response = await chat.post(stream=True)
    assert '"error":{"message":"The engine is down."' in response.text
    assert "[DONE]" not in response.text
    with pytest.raises(openai.APIError, match="The engine is down"):
        await chunks_of(chat)


async def test_lost_chunk_is_asked_for_again_by_offset(chat_on_both: Chat) -> None:
    """The owner is told what is held, and the answer is whole within a second."""
    chat = chat_on_both
    frames = deltas(*TEXT)

    async def script(call: Call) -> None:
        call.say(frames[0])
        call.say(frames[2])

    chat.inference.script = script
    chat.inference.attached = [*frames[1:], ended()]
    response = await chat.post(stream=True)
    assert response.text.endswith("data: [DONE]\n\n")
    assert chat.inference.attaches[0].offsets == {"0/content": len(TEXT[0])}


async def test_lost_end_is_found_in_the_row(chat_on_both: Chat) -> None:
    """Nobody generates any more: the recorded answer is sent again, and what was delivered is not repeated."""
    chat = chat_on_both

    async def script(call: Call) -> None:
        call.say(*deltas(TEXT[0]), ended())

    chat.inference.script = script
    chat.inference.recorded = [*deltas("".join(TEXT)), ended()]
    chunks = await chunks_of(chat)
    assert "".join(c.choices[0].delta.content or "" for c in chunks) == "".join(TEXT)
    assert len(chat.inference.reads) == 1


async def test_other_text_of_a_later_attempt_is_an_honest_error(chat: Chat) -> None:
    """What was delivered can't be taken back, so the client hears it, and the generation is stopped."""

    async def script(call: Call) -> None:
        call.say(*deltas(*TEXT))
        await asyncio.sleep(0.2)  # long enough to be delivered
        call.say(*deltas("Another beginning", attempt=2))

    chat.inference.script = script
    response = await chat.post(stream=True)
    assert "api.answer_diverged" in response.text
    assert "[DONE]" not in response.text
    assert (await chat.inference.cancelled()).request_id == chat.inference.calls[0].command.request_id


async def test_request_ids_are_uuid7(chat: Chat) -> None:
    """Every response says its id, errors too."""
    for path in ("/v1/chat/completions", "/nowhere", "/healthz"):
        response = await chat.client.get(path)
        assert response.headers["x-request-id"][14] == "7" == str(uuid7())[14]


async def test_deltas_with_logprobs_keep_them(chat: Chat) -> None:
    """Logprobs belong to the text of their own chunk."""
    entry = b'[{"token":"Water ","logprob":-0.5,"bytes":null,"top_logprobs":[]}]'

    async def script(call: Call) -> None:
        call.say(Delta(1, 0, "content", 0, "Water ", entry), ended({"0/content": 6}))

    chat.inference.script = script
    chunks = await chunks_of(chat, logprobs=True)
    assert [c.choices[0].logprobs.content[0].logprob for c in chunks if c.choices[0].logprobs] == [-0.5]
