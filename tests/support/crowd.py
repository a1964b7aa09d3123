"""Thousands of streams at once: an engine that takes its time, and clients that compare each word."""

import asyncio
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
import msgspec

QUESTION = {"role": "user", "content": "Tell me a long story."}
PROMPT_TOKENS = 5
BACKLOG = 4096
USAGE = {"prompt_tokens": PROMPT_TOKENS}


def words(count: int) -> list[str]:
    """What each answer says: the tokens of the engine."""
    return [f" w{number}" for number in range(count)]


@dataclass
class SlowEngine:
    """Streams the same words to everybody, one each `gap` seconds, and counts its calls."""

    count: int
    gap: float
    begun: int = 0
    finished: int = 0
    open: int = 0
    most: int = 0
    """The most that were open at once."""
    most_since: float = 0.0
    """When that was reached, on the clock of `time.monotonic`."""
    first_end: float = math.inf
    """When the first one ended."""
    url: str = ""

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["SlowEngine"]:
        """Serve on a free port."""
        server = await asyncio.start_server(self._answer, "127.0.0.1", 0, backlog=BACKLOG)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        async with server:
            yield self

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
        await reader.readexactly(length)
        self.begun += 1
        self.open += 1
        if self.open > self.most:
            self.most, self.most_since = self.open, time.monotonic()
        try:
            await self._speak(writer)
            self.finished += 1
        except ConnectionError:
            return
        finally:
            self.open -= 1
            self.first_end = min(self.first_end, time.monotonic())
            writer.close()

    async def _speak(self, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")
        for word in words(self.count):
            await asyncio.sleep(self.gap)
            writer.write(event({"choices": [{"index": 0, "delta": {"content": word}, "finish_reason": None}]}))
        writer.write(event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}))
        tokens = {"completion_tokens": self.count, "total_tokens": PROMPT_TOKENS + self.count}
        writer.write(event({"choices": [], "usage": USAGE | tokens}) + b"data: [DONE]\n\n")
        await writer.drain()


def event(data: dict[str, object]) -> bytes:
    """One server-sent event."""
    return (
        b"data: "
        + msgspec.json.encode({"id": "slow", "object": "chat.completion.chunk", "created": 1, **data})
        + b"\n\n"
    )


@dataclass
class Crowd:
    """Clients of one model; `heard` is what each one was told, `failures` what went wrong instead."""

    base_url: str
    api_key: str
    model: str
    heard: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    async def ask(self, clients: int, ramp: float) -> None:
        """Begin so many streams over `ramp` seconds and read each to its end."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=20, sock_read=60)
        headers = {"authorization": f"Bearer {self.api_key}"}
        connector = aiohttp.TCPConnector(limit=0, force_close=True)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout, headers=headers) as session:
            await asyncio.gather(*(self._ask(session, ramp * number / clients) for number in range(clients)))

    async def _ask(self, session: aiohttp.ClientSession, delay: float) -> None:
        await asyncio.sleep(delay)
        body = {"model": self.model, "stream": True, "messages": [QUESTION]}
        try:
            async with session.post(f"{self.base_url}/v1/chat/completions", json=body) as answer:
                if answer.status != 200:
                    self.failures.append(f"{answer.status}: {(await answer.text())[:300]}")
                    return
                await self._read(answer)
        except (aiohttp.ClientError, TimeoutError) as error:
            self.failures.append(repr(error))

    async def _read(self, answer: aiohttp.ClientResponse) -> None:
        said = ""
        async for line in answer.content:
            data = line.removeprefix(b"data: ").strip()
            if data == b"[DONE]":
                self.heard.append(said)
                return
            if line.startswith(b"data: "):
                for choice in msgspec.json.decode(data).get("choices", ()):
                    said += choice["delta"].get("content") or ""
        self.failures.append(f"no end after {said[-40:]!r}")
