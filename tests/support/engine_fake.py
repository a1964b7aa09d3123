"""A strict engine over a real socket: it refuses what no engine should be sent, and misbehaves on order."""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import msgspec

from tests.support.engine_socket import Asked, SocketEngine

FORBIDDEN = {"cookie", "x-request-id", "x-forwarded-for", "openai-organization", "proxy-authorization"}

NEEDED = {
    "/v1/chat/completions": ("model", "messages", "stream"),
    "/v1/embeddings": ("model", "input", "encoding_format"),
}
"""Members without which the engine takes no request, by path."""


class End(StrEnum):
    """How an answer ends."""

    DONE = "done"
    CUT = "cut"
    """The connection closes without the end of the body."""
    HANG = "hang"
    """Nothing more comes, and nothing closes."""
    LEAVE = "leave"
    """The connection closes right after a whole answer that did not announce it."""
    SILENT = "silent"
    """The connection closes without a byte of an answer, after the pieces' pauses."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the engine sends: pieces of bytes, each after so many seconds."""

    pieces: Sequence[bytes | float] = ()
    status: int = 200
    kind: str = "text/event-stream"
    headers: Mapping[str, str] = field(default_factory=dict)
    end: End = End.DONE


class FakeEngine(SocketEngine[Answer]):
    """Refuses what no engine should be sent."""

    async def answer(self, asked: Asked, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; whether its connection takes another."""
        return await self._send(refusal(asked) or self.answers.popleft(), reader, writer)

    async def _send(self, answer: Answer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Send an answer; False where the connection is over. A client that leaves ends it at once."""
        sending = asyncio.create_task(send(answer, writer))
        leaving = asyncio.create_task(reader.read(1))
        done, _ = await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
        for task in (sending, leaving):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, ConnectionError):
                await task
        if sending not in done:
            self.left.set()
        return sending in done and answer.end is End.DONE


def refusal(asked: Asked) -> Answer | None:
    """What is wrong with a request, if anything is."""
    if asked.path == "/v1/models":
        return None
    wrong = [name for name in FORBIDDEN if name in asked.headers]
    needed = NEEDED.get(asked.path, ())
    wrong += [name for name in needed if name not in asked.body]
    if not needed or asked.headers.get("content-type") != "application/json":
        wrong.append("path or content type")
    return error(400, f"the test's engine refuses {wrong}") if wrong else None


async def send(answer: Answer, writer: asyncio.StreamWriter) -> None:
    """Send an answer, piece by piece, as a chunked body."""
    if answer.end is End.SILENT:
        await asyncio.sleep(sum(piece for piece in answer.pieces if isinstance(piece, float)))
        return
    head = {"content-type": answer.kind, "transfer-encoding": "chunked", **answer.headers}
    lines = [f"HTTP/1.1 {answer.status} Said", *(f"{name}: {value}" for name, value in head.items()), "", ""]
    writer.write("\r\n".join(lines).encode())
    for piece in answer.pieces:
        if isinstance(piece, float):
            await asyncio.sleep(piece)
            continue
        writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        await writer.drain()
    if answer.end in (End.DONE, End.LEAVE):
        writer.write(b"0\r\n\r\n")
    await writer.drain()
    if answer.end is End.HANG:
        await asyncio.Event().wait()


def event(data: Any) -> bytes:
    """One event of a stream."""
    payload = data if isinstance(data, bytes) else msgspec.json.encode(data)
    return b"data: " + payload + b"\n\n"


DONE = event(b"[DONE]")


def chunk(choice: int = 0, finish: str | None = None, usage: Any = None, **delta: Any) -> dict[str, Any]:
    """A `chat.completion.chunk`."""
    choices = [{"index": choice, "delta": delta, "finish_reason": finish}]
    return {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices} | (
        {"usage": usage} if usage is not None else {}
    )


def usage_chunk(prompt: int, completion: int, **more: Any) -> dict[str, Any]:
    """The last chunk of a stream: no choice, the counts."""
    usage = {"prompt_tokens": prompt, "completion_tokens": completion, **more}
    return {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [], "usage": usage}


def stream(*chunks: dict[str, Any], done: bool = True, end: End = End.DONE) -> Answer:
    """A stream of chunks."""
    return Answer([*(event(c) for c in chunks), *([DONE] if done else [])], end=end)


def completion(text: str, usage: Any = None, **message: Any) -> Answer:
    """An unstreamed answer."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text, **message}, "finish_reason": "stop"}
    body: dict[str, Any] = {"id": "c1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
    return as_json({**body, "usage": usage} if usage is not None else body)


def as_json(body: Any, status: int = 200, **headers: str) -> Answer:
    """A JSON body."""
    return Answer([msgspec.json.encode(body)], status=status, kind="application/json", headers=headers)


def error(status: int, message: str, code: str | None = None, kind: str = "error", **headers: str) -> Answer:
    """OpenAI's error object."""
    return as_json({"error": {"message": message, "type": kind, "param": None, "code": code}}, status, **headers)
