"""Clients that read slowly: they cost little, get everything where they keep reading, and can come back if dropped."""

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from penstock_common.contracts.stream import Beat
from tests.support.api import USER, bearer
from tests.support.chat import chat_process
from tests.support.databases import Databases
from tests.support.fake_inference import Call, deltas
from tests.support.replicas import CHAT, Cut, Event, Replicas, body_of, replicas_on, said, text_of

pytestmark = pytest.mark.integration

WORDS = ("internationalization", "responsibilities", "characteristics", "recommendations", "straightforward")
TEXT = " ".join(f"{number} " + " ".join(WORDS) for number in range(7_000))
LARGE: dict[str, Any] = {
    "model": "sim/fast",
    "messages": [{"role": "user", "content": f"sim: say {TEXT}"}],
    "max_tokens": 1_000_000,
}
SLOW_SECONDS = 1.5


@pytest.fixture
async def replicas(platform_databases: Databases, bus_url: str, tmp_path: Path) -> AsyncIterator[Replicas]:
    """On each bus; they drop a client after a second and a half."""
    async with replicas_on(platform_databases, bus_url, tmp_path, slow_seconds=SLOW_SECONDS) as replicas:
        yield replicas


class Reader:
    """A client whose kernel takes no more than it reads."""

    def __init__(self, url: str, request: str) -> None:
        host, _, port = url.removeprefix("http://").partition(":")
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.setblocking(False)
        self.address, self.request, self.read = (host, int(port)), request, b""

    async def ask(self) -> None:
        """Send the request."""
        loop = asyncio.get_running_loop()
        await loop.sock_connect(self.socket, self.address)
        await loop.sock_sendall(self.socket, self.request.encode())

    async def take(self, most: int) -> bool:
        """Read a little; False where the connection is over."""
        try:
            data = await asyncio.get_running_loop().sock_recv(self.socket, most)
        except ConnectionError:
            return False
        self.read += data
        return bool(data)

    async def until(self, size: int) -> None:
        """Read so many bytes in all."""
        while len(self.read) < size:
            assert await self.take(8000)

    async def to_the_end(self) -> None:
        """Read everything that comes."""
        while await self.take(65_536):
            pass

    @property
    def cut(self) -> Cut:
        """What it has."""
        head, _, body = self.read.partition(b"\r\n\r\n")
        (named,) = [line for line in head.decode().splitlines() if line.startswith("x-request-id: ")]
        return Cut(named.removeprefix("x-request-id: "), list(events_of(unchunked(body))))


def asking(**members: Any) -> str:
    """A streamed chat completion in HTTP's own words."""
    body = json.dumps(body_of(**members))
    head = f"POST {CHAT} HTTP/1.1\r\nhost: x\r\nauthorization: {bearer(USER)['authorization']}\r\n"
    return f"{head}connection: close\r\ncontent-length: {len(body)}\r\n\r\n{body}"


def unchunked(body: bytes) -> str:
    """The content of complete chunks."""
    content = b""
    while body:
        size, _, body = body.partition(b"\r\n")
        length = int(size or b"0", 16)
        if not length or len(body) < length + 2:
            break
        content, body = content + body[:length], body[length + 2 :]
    return content.decode()


def events_of(text: str) -> list[Event]:
    """Complete events."""
    fields = (dict(line.split(": ", 1) for line in event.splitlines()) for event in text.split("\n\n")[:-1])
    return [Event(f.get("id", ""), f.get("event", ""), f.get("data", "")) for f in fields]


async def test_reader_that_stops_is_dropped_and_comes_back(replicas: Replicas) -> None:
    """Its connection ends without a mark of an end; the generation goes on, and the rest is there elsewhere."""
    reader = Reader(replicas.first.url, asking(**LARGE))
    await reader.ask()
    await reader.until(3000)
    request_id = reader.cut.request_id
    since = time.monotonic()
    while replicas.first.app.generations.held(UUID(request_id)):
        await asyncio.sleep(0.05)
    assert time.monotonic() - since < SLOW_SECONDS + 8
    await reader.to_the_end()
    cut = reader.cut
    assert "[DONE]" not in cut.seen[-1].data
    assert "error" not in cut.seen[-1].data
    assert await replicas.outcome(request_id, 60) == "succeeded"
    rest = await cut.rest(replicas.second)
    assert text_of([*cut.seen, *rest]) == TEXT


async def test_reader_that_keeps_reading_gets_everything(replicas: Replicas) -> None:
    """It falls far behind, and the answer ends long before it; nothing is lost, and little waits for it."""
    reader = Reader(replicas.first.url, asking(**LARGE))
    await reader.ask()
    await reader.until(3000)
    for _ in range(40):
        assert await reader.take(8000)
        await asyncio.sleep(0.05)
    assert await replicas.outcome(reader.cut.request_id, 60) == "succeeded"
    assert len(said(reader.cut.seen)) < len(TEXT) / 2
    await reader.to_the_end()
    assert text_of(reader.cut.seen) == TEXT


async def test_dropped_reader_that_stays_away_left_for_good(
    platform_databases: Databases, bus_url: str, tmp_path: Path
) -> None:
    """It has ten seconds; then its generation is stopped like that of any other client that left."""
    async with chat_process(platform_databases, bus_url, tmp_path / "keyring", slow_seconds=0.5) as chat:
        pieces = deltas(*(TEXT[at : at + 10_000] for at in range(0, len(TEXT), 10_000)))

        async def script(call: Call) -> None:
            call.say(*pieces)
            while not chat.inference.cancels:
                await asyncio.sleep(0.5)
                call.say(Beat(1))

        chat.inference.script, chat.inference.attached = script, pieces
        reader = Reader(chat.url, asking(**LARGE))
        await reader.ask()
        assert await reader.take(1000)
        request_id = chat.inference.calls[0].command.request_id
        async with asyncio.timeout(8):
            while chat.app.generations.held(request_id):
                await asyncio.sleep(0.05)
        await asyncio.sleep(8)
        assert chat.inference.cancels == []
        assert (await chat.inference.cancelled()).request_id == request_id
        await reader.to_the_end()
        assert b"[DONE]" not in reader.read


async def test_slow_reader_holds_up_nobody_beside_it(
    platform_databases: Databases, nats_url: str, tmp_path: Path
) -> None:
    """While it alone waits, its process asks for no more than it has room for; beside a quick one, for everything."""
    async with chat_process(platform_databases, nats_url, tmp_path / "keyring") as chat:
        pieces = [*deltas(*(TEXT[at : at + 10_000] for at in range(0, len(TEXT), 10_000))), Beat(1)]

        async def script(call: Call) -> None:
            call.say(*pieces)

        chat.inference.script, chat.inference.attached = script, pieces
        reader = Reader(chat.url, asking(**LARGE))
        await reader.ask()
        await reader.until(220_000)
        alone = [attach.most for attach in chat.inference.attaches]
        assert alone
        assert all(0 < most <= 128 * 1024 for most in alone)
        path = f"/api/v1/inference/{reader.cut.request_id}/stream"
        async with chat.client.stream("GET", path, headers=bearer(USER)) as quick:
            text, seen = quick.aiter_text(), ""
            while "6999 " not in seen:
                seen += await anext(text)
            await asyncio.sleep(0.5)
            asked = len(chat.inference.attaches)
            await reader.until(500_000)
            assert {attach.most for attach in chat.inference.attaches[asked:]} == {0}
