"""What the engines of tests share: a socket, the answers that they were told to give, and what they were asked."""

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Generic, Self, TypeVar

import msgspec

A = TypeVar("A")


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as it came."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]


class SocketEngine(ABC, Generic[A]):
    """Gives the answers it was told to give, in order, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.opened_on: list[int] = []
        """For each request, on which connection it came."""
        self.connections = self.port = 0
        self.left = asyncio.Event()
        """Set once a client closed its connection before its answer had ended."""
        self.answers: deque[A] = deque()
        self._serving: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """The base URL."""
        return f"http://127.0.0.1:{self.port}/v1"

    def will(self, *answers: A) -> None:
        """Answer the next requests so."""
        self.answers.extend(answers)

    @abstractmethod
    async def answer(self, asked: Asked, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; whether its connection takes another."""

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Self]:
        """Serve on a free port."""
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task in self._serving:
                task.cancel()
            await asyncio.gather(*self._serving, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._serving.add(task)
        self.connections += 1
        number = self.connections
        try:
            while asked := await read_request(reader):
                self.asked.append(asked)
                self.opened_on.append(number)
                if not await self.answer(asked, reader, writer):
                    return
        except (ConnectionError, asyncio.CancelledError):
            self.left.set()
        finally:
            self._serving.discard(task)
            writer.close()


async def read_request(reader: asyncio.StreamReader) -> Asked | None:
    """The next request of a connection; None at its end."""
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    except asyncio.IncompleteReadError:
        return None
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Asked(head[0].split(" ")[1], headers, msgspec.json.decode(body) if body else {})
