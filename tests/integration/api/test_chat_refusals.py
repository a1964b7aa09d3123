"""Requests that can't be answered: the right status, OpenAI's error object, a sentence to act on."""

import asyncio
import json
import time
from typing import Any

import pytest

from tests.support.api import USER, bearer
from tests.support.chat import QUESTION, Chat

PATH = "/v1/chat/completions"
GOOD: dict[str, Any] = {"model": "sim/fast", "messages": QUESTION}


def text(**members: Any) -> bytes:
    return json.dumps(GOOD | members).encode()


def message(**members: Any) -> bytes:
    return text(messages=[{"role": "user", "content": "Hi"}, members])


BODIES: dict[str, tuple[bytes, str, str | None]] = {
    "empty": (b"", "not valid JSON", None),
    "malformed": (b'{"model": "sim/fast",}', "line 1, column", None),
    "not an object": (b"[1]", "JSON object", None),
    "trailing": (text() + b"x", "Extra data", None),
    "10,000 levels": (b'{"a":' + b"[" * 10_000 + b"]" * 10_000 + b"}", "deeper than 64", None),
    "65 levels": (b'{"a":' + b"[" * 64 + b"]" * 64 + b"}", "deeper than 64", None),
    "duplicate key": (b'{"model":"a","model":"b"}', '"model\\" twice', None),
    "NaN": (text()[:-1] + b',"temperature":NaN}', "NaN is not a JSON number", None),
    "infinity": (text()[:-1] + b',"temperature":1e999}', "1e999 is too large", None),
    "huge integer": (text()[:-1] + b',"seed":' + b"9" * 5000 + b"}", "is too large", None),
    "NUL": (text(user="a\0b"), "NUL character", "user"),
    "lone surrogate": (text(user="\ud800"), "lone surrogate", "user"),
    "surrogate in a name": (b'{"\\udfff":1}', "lone surrogate", None),
    "not UTF-8": (b'{"model":"\xff"}', "not UTF-8: byte 11", None),
    "byte order mark": (b"\xef\xbb\xbf" + text(), "byte order mark", None),
    "UTF-16": (text().decode().encode("utf-16-le"), "not valid JSON", None),
    "no messages": (b'{"model":"sim/fast"}', "`messages` is required", "messages"),
    "messages empty": (text(messages=[]), "length >= 1", "messages"),
    "messages a string": (text(messages="Hi"), "got `str`", "messages"),
    "message a string": (text(messages=["Hi"]), "got `str`", "messages[0]"),
    "unknown role": (message(role="wizard", content="x"), "wizard", "messages[1].role"),
    "no content": (message(role="user"), "content` is required", "messages[1].content"),
    "content a number": (message(role="user", content=3), "got `int`", "messages[1].content"),
    "part without text": (message(role="user", content=[{"type": "text"}]), "required", "messages[1].content[0].text"),
    "tool without id": (message(role="tool", content="x"), "tool_call_id` is required", "messages[1].tool_call_id"),
    "model a number": (text(model=1), "got `int`", "model"),
    "model too long": (text(model="m" * 129), "length <= 128", "model"),
    "max_tokens -1": (text(max_tokens=-1), "`int` >= 1", "max_tokens"),
    "max_tokens 10^12": (text(max_tokens=10**12), "`int` <= 1000000", "max_tokens"),
    "max_tokens a fraction": (text(max_tokens=1.5), "got `float`", "max_tokens"),
    "both limits": (text(max_tokens=1, max_completion_tokens=1), "not both", "max_tokens"),
    "n 1,000": (text(n=1000), "`int` <= 8", "n"),
    "temperature 3": (text(temperature=3), "<= 2", "temperature"),
    "top_p a string": (text(top_p="1"), "got `str`", "top_p"),
    "five stops": (text(stop=list("abcde")), "length <= 4", "stop"),
    "seed of 65 bits": (text(seed=2**64), "<= 9223372036854775807", "seed"),
    "stream a string": (text(stream="yes"), "got `str`", "stream"),
    "options unstreamed": (text(stream_options={"include_usage": True}), "only allowed when", "stream_options"),
    "top_logprobs alone": (text(top_logprobs=2), "needs `logprobs`", "top_logprobs"),
    "tool without function": (text(tools=[{"type": "function"}]), "required", "tools[0].function"),
    "choice without tools": (text(tool_choice="required"), "when `tools` are given", "tool_choice"),
    "unknown format": (text(response_format={"type": "xml"}), "xml", "response_format.type"),
}


async def test_each_bad_body_is_a_400_that_says_where(chat: Chat) -> None:
    """None of them reaches the bus."""
    for name, (body, sentence, param) in BODIES.items():
        response = await chat.client.post(PATH, content=body, headers=bearer(USER))
        assert response.status_code == 400, name
        error = response.json()["error"]
        assert sentence in response.text, (name, response.text)
        assert (error["type"], error["param"]) == ("invalid_request_error", param), name
        assert error["code"] == "api.invalid_request"
    assert chat.inference.calls == []


async def test_what_is_allowed_passes(chat: Chat) -> None:
    """Limits, multimodal parts, unknown members and null members are no errors."""
    parts = [{"type": "text", "text": "\U0001f600\u00e9"}, {"type": "image_url", "image_url": {"url": "data:,"}}]
    parts += [{"type": "hologram", "angle": 3}]
    tools = [{"type": "function", "function": {"name": "f", "parameters": {}}}]
    messages = [
        {"role": "user", "content": parts},
        {
            "role": "assistant",
            "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": ""}}],
        },
        {"role": "tool", "tool_call_id": "1", "content": "x"},
    ]
    deep: Any = 1
    for _ in range(63):
        deep = [deep]
    response = await chat.post(
        messages=messages, tools=tools, tool_choice="auto", n=8, max_tokens=1_000_000, temperature=None, deep=deep
    )
    assert response.status_code == 200, response.text


async def test_unknown_model_is_404(chat: Chat) -> None:
    """By the code that OpenAI's clients know."""
    response = await chat.post(model="no/such")
    assert response.status_code == 404
    assert response.json()["error"]["code"] == "model_not_found"
    assert "no/such" in response.json()["error"]["message"]


@pytest.mark.parametrize("authorization", [None, "Bearer psk-wrong", "Bearer " + "psk-" + "x" * 43, "Basic abc"])
async def test_wrong_keys_are_401(chat: Chat, authorization: str | None) -> None:
    """Before anything of the body is looked at."""
    headers = {"authorization": authorization} if authorization else {}
    response = await chat.client.post(PATH, content=b"{", headers=headers)
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"
    assert response.json()["error"]["type"] == "authentication_error"


async def test_unknown_disconnect_policy_is_400(chat: Chat) -> None:
    """A typing error must not decide what is paid."""
    response = await chat.post(headers={"x-penstock-on-disconnect": "continu"})
    assert response.status_code == 400
    assert response.json()["error"]["param"] == "x-penstock-on-disconnect"


async def test_ten_megabytes_are_413(chat: Chat) -> None:
    """Also for a client that reads nothing before it has sent everything, with a length and without."""

    async def endless() -> Any:
        for _ in range(200):
            yield b"x" * 50_000

    for content in (b"x" * 10_000_000, endless()):
        response = await chat.client.post(PATH, content=content, headers=bearer(USER))
        assert response.status_code == 413
        assert response.json()["error"]["code"] == "api.body_too_large"


async def test_thousand_headers_are_431(chat: Chat) -> None:
    """And so are headers of 100 KiB."""
    for headers in ({f"x-{i}": "1" for i in range(1000)}, {f"x-{i}": "1" * 2000 for i in range(50)}):
        response = await chat.post(headers=headers)
        assert response.status_code == 431
        assert response.json()["error"]["code"] == "api.headers_too_large"


@pytest.mark.parametrize(("bytes_a_second", "status"), [(10, b" 408 "), (10_000_000, b" 431 ")])
async def test_head_that_never_ends_is_answered_and_closed(chat: Chat, bytes_a_second: int, status: bytes) -> None:
    """Dripping or pouring, it holds neither the connection nor memory."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(chat.url.rpartition(":")[2]))
    writer.write(f"POST {PATH} HTTP/1.1\r\nx-endless: ".encode())
    sending = asyncio.create_task(send_forever(writer, b"a" * (bytes_a_second // 10)))
    assert status in await asyncio.wait_for(reader.readline(), 12)
    sending.cancel()
    writer.close()


async def test_chunked_body_that_never_ends_is_408(chat: Chat) -> None:
    """The connection is answered after ten seconds, and then closed."""
    port = int(chat.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"POST {PATH} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {USER}\r\ntransfer-encoding: chunked\r\n\r\n"
    writer.write(head.encode())
    since = time.monotonic()
    sending = asyncio.create_task(send_forever(writer, b"1\r\n \r\n"))
    status = await asyncio.wait_for(reader.readline(), 15)
    assert b" 408 " in status
    assert 9 < time.monotonic() - since < 13
    await asyncio.wait_for(reader.read(), 10)
    sending.cancel()
    writer.close()


async def send_forever(writer: asyncio.StreamWriter, piece: bytes) -> None:
    while True:
        writer.write(piece)
        await asyncio.sleep(0.1)


async def test_other_methods_and_routes_are_told_so(chat: Chat) -> None:
    """In the same error object."""
    assert (await chat.client.get(PATH)).status_code == 405
    missing = await chat.client.post("/v1/nowhere")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "api.route_not_found")


async def test_openapi_shows_the_chat_route(chat: Chat) -> None:
    """With the members that are checked."""
    document = (await chat.client.get("/openapi.json")).json()
    operation = document["paths"][PATH]["post"]
    assert set(operation["responses"]) >= {"200", "400", "401", "404", "413", "503"}
    assert "messages" in document["components"]["schemas"]["ChatRequest"]["properties"]
