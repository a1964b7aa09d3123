"""An engine in a process of its own that outlives every fault, says what it is ordered to, and counts each call.

Run as `python -m tests.chaos.engine PORT`. `GET /counts` gives every call that was made of it, as JSON.
"""

import asyncio
import base64
import hashlib
import sys
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
import uvloop
from aiohttp import web

from tests.chaos.script import CALL_NAME, TOKENS_OF_PROMPT, Order, Piece, call_id_of, finish_of, order_of, pieces_of

AGAIN = 400.0
"""Pieces a second of what was said before, so that what is measured is the platform's take-over, not the engine's."""


class Call(msgspec.Struct):
    """One call: what it was about, and how much it produced."""

    key: str
    prefix: int
    """Characters of the answer that the engine was given to continue."""
    tokens: int = 0
    complete: bool = False


@dataclass(frozen=True, slots=True)
class Work:
    """A call and what is to be said in it."""

    order: Order
    pieces: list[Piece]
    begun: int
    """Pieces of the answer that are not to be said again."""
    call: Call


class Engine:
    """Answers orders at their pace."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self._said: dict[str, int] = {}
        """Pieces of each answer that were produced at any time."""

    def application(self) -> web.Application:
        """Its routes."""
        app = web.Application(client_max_size=8 << 20)
        app.add_routes(
            [
                web.post("/v1/chat/completions", self.complete),
                web.post("/v1/embeddings", embed),
                web.get("/counts", self.counts),
            ]
        )
        return app

    async def counts(self, _: web.Request) -> web.Response:
        """Every call so far."""
        return web.Response(body=msgspec.json.encode(self.calls), content_type="application/json")

    async def complete(self, request: web.Request) -> web.StreamResponse:
        """A chat completion, streamed or whole."""
        body = await request.json()
        try:
            work = work_of(body)
        except ValueError as error:
            return web.json_response({"error": {"message": str(error), "type": "invalid_request_error"}}, status=400)
        self.calls.append(work.call)
        return await self._stream(request, work) if body["stream"] else await self._whole(work)

    async def _stream(self, request: web.Request, work: Work) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        announced = False
        for number, piece in enumerate(work.pieces):
            await self._wait(work, number)
            if piece.channel == "tool" and not announced:
                announced = True
                await response.write(event(_announcement(work.order)))
            await response.write(event(_delta(piece)))
            work.call.tokens += 1
        for ending in (*map(event, _finish(work)), event(_usage_chunk(work)), b"data: [DONE]\n\n"):
            await response.write(ending)
        work.call.complete = True
        return response

    async def _whole(self, work: Work) -> web.Response:
        for number in range(len(work.pieces)):
            await self._wait(work, number)
            work.call.tokens += 1
        work.call.complete = True
        return web.json_response(
            {**CHUNK, "object": "chat.completion", "choices": _messages(work), "usage": _usage(work)}
        )

    async def _wait(self, work: Work, number: int) -> None:
        """Until it is time for a piece. What was said before is said quickly."""
        key, number = work.order.key, work.begun + number
        said = self._said.get(key, 0)
        await asyncio.sleep(1 / (AGAIN if number < said else work.order.pace))
        self._said[key] = max(self._said.get(key, 0), number + 1)


async def embed(request: web.Request) -> web.Response:
    """Vectors of texts, the same for the same text."""
    body = await request.json()
    texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
    data = [
        {"object": "embedding", "index": n, "embedding": base64.b64encode(_vector(text)).decode()}
        for n, text in enumerate(texts)
    ]
    tokens = {"prompt_tokens": len(texts), "total_tokens": len(texts)}
    return web.json_response({"object": "list", "model": "chaos", "data": data, "usage": tokens})


def _vector(text: str) -> bytes:
    """Eight floats, none of them 0."""
    return array("f", [1.0 + byte for byte in hashlib.blake2s(text.encode(), digest_size=8).digest()]).tobytes()


CHUNK: dict[str, Any] = {"id": "engine-1", "object": "chat.completion.chunk", "created": 1, "model": "chaos"}


def work_of(body: dict[str, Any]) -> Work:
    """What a request asks for. Raises ValueError for what this engine must never be asked."""
    messages = body["messages"]
    order = order_of(messages[0]["content"])
    prefix = messages[-1]["content"] if messages[-1]["role"] == "assistant" else ""
    if (body.get("n") or 1) != order.choices:
        raise ValueError(f"{order.key}: n is {body.get('n')}, ordered were {order.choices} choices")
    if prefix and not body.get("continue_final_message"):
        raise ValueError(f"{order.key}: ends with the assistant's words and does not say what to do with them")
    whole = pieces_of(order)
    left = list(after(whole, prefix))
    return Work(order, left, len(whole) - len(left), Call(order.key, len(prefix)))


def after(pieces: list[Piece], prefix: str) -> Iterator[Piece]:
    """The pieces that follow a prefix of choice 0's content. Raises ValueError where it is none."""
    whole = "".join(piece.text for piece in pieces if piece.choice == 0 and piece.channel == "content")
    if not whole.startswith(prefix):
        raise ValueError(f"asked to continue what was never said: {prefix[-80:]!r}")
    left = len(prefix)
    for piece in pieces:
        text, left = piece.text[left:], max(0, left - len(piece.text))
        if text:
            yield Piece(piece.choice, piece.channel, text)


def event(data: Any) -> bytes:
    """One server-sent event."""
    return b"data: " + msgspec.json.encode(data) + b"\n\n"


def _chunk(choice: int, delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    return {**CHUNK, "choices": [{"index": choice, "delta": delta, "finish_reason": finish}]}


def _delta(piece: Piece) -> dict[str, Any]:
    if piece.channel == "tool":
        return _chunk(piece.choice, {"tool_calls": [{"index": 0, "function": {"arguments": piece.text}}]})
    return _chunk(piece.choice, {"content": piece.text})


def _announcement(order: Order) -> dict[str, Any]:
    return _chunk(0, {"tool_calls": [_call(order, "")]})


def _call(order: Order, arguments: str) -> dict[str, Any]:
    function = {"name": CALL_NAME, "arguments": arguments}
    return {"index": 0, "id": call_id_of(order), "type": "function", "function": function}


def _finish(work: Work) -> list[dict[str, Any]]:
    return [_chunk(choice, {}, reason) for choice, reason in finish_of(work.order).items()]


def _usage(work: Work) -> dict[str, int]:
    """A text that was continued counts as prompt."""
    prompt, produced = TOKENS_OF_PROMPT + work.begun, len(work.pieces)
    return {"prompt_tokens": prompt, "completion_tokens": produced, "total_tokens": prompt + produced}


def _usage_chunk(work: Work) -> dict[str, Any]:
    return {**CHUNK, "choices": [], "usage": _usage(work)}


def _messages(work: Work) -> list[dict[str, Any]]:
    return [_message(work, choice, reason) for choice, reason in finish_of(work.order).items()]


def _message(work: Work, choice: int, reason: str) -> dict[str, Any]:
    def said(channel: str) -> str:
        return "".join(p.text for p in work.pieces if (p.choice, p.channel) == (choice, channel))

    message: dict[str, Any] = {"role": "assistant", "content": said("content")}
    if reason == "tool_calls":
        message["tool_calls"] = [_call(work.order, said("tool"))]
    return {"index": choice, "message": message, "finish_reason": reason}


async def serve(port: int) -> None:
    """Serve until the process ends."""
    runner = web.AppRunner(Engine().application(), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, backlog=1024).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
