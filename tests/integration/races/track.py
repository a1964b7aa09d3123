"""What a race leaves behind: the decisive row, the facts that were published, and the engine's count of its calls."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import msgspec

from penstock_common.contracts.base import decode
from penstock_common.contracts.generation import GenerationCompleted
from tests.support.api import USER, bearer
from tests.support.chat import ApiProcess
from tests.support.databases import Databases
from tests.support.replicas import CHAT, Event, body_of, events_in, said

PATIENCE = 40.0  # seconds for what is bound to happen, on a busy machine
LOOK = 0.05
LONG = [{"role": "user", "content": "sim: say " + "water " * 200}]


@dataclass(frozen=True, slots=True)
class Track:
    """The records of a platform whose simulated engine counts in `folder/sim`."""

    databases: Databases
    folder: Path

    async def row(self, request_id: str) -> asyncpg.Record:
        """The row of a request, once it has ended."""
        query = "select outcome, attempt, prompt_tokens, completion_tokens, measure from inference.generations"
        async with asyncio.timeout(PATIENCE):
            while not (
                rows := await self._rows(f"{query} where request_id = $1 and outcome <> 'running'", UUID(request_id))
            ):
                await asyncio.sleep(LOOK)
        return rows[0]

    async def facts(self, request_id: str) -> list[GenerationCompleted]:
        """What was published of its end, for whoever charges."""
        query = "select body from inference.outbox where message_id = $1"
        rows = await self._rows(query, f"{request_id}.completed")
        return [decode(GenerationCompleted, bytes(row["body"])) for row in rows]

    async def costs(self, request_id: str) -> int:
        """How many attempts were booked that nobody pays for."""
        query = "select 1 from inference.outbox where message_id like $1"
        ids = [f"{request_id}.%.{why}" for why in ("lost", "costed")]
        return sum([len(await self._rows(query, pattern)) for pattern in ids])

    async def charged_as_recorded(self, request_id: str) -> asyncpg.Record:
        """Its row, which one fact repeats: outcome, attempt and tokens."""
        row = await self.row(request_id)
        (fact,) = await self.facts(request_id)
        told = (fact.outcome, fact.attempt, fact.tokens.prompt, fact.tokens.completion, fact.tokens.measure)
        assert told == tuple(row.values())
        return row

    def calls(self, request_id: str) -> int:
        """How often the engine was called for a request."""
        return len([line for line in self._lines() if line["event"] == "open" and line["request_id"] == request_id])

    def _lines(self) -> list[dict[str, Any]]:
        files = (self.folder / "sim").glob("*.jsonl")
        return [json.loads(line) for file in files for line in file.read_text().splitlines()]

    async def _rows(self, query: str, *given: Any) -> list[asyncpg.Record]:
        connection = await asyncpg.connect(self.databases.admin)
        try:
            return list(await connection.fetch(query, *given))
        finally:
            await connection.close()


class Client:
    """One stream as its client reads it, beside the test."""

    def __init__(self, api: ApiProcess, headers: dict[str, str], **members: Any) -> None:
        self.api, self.headers, self.body = api, headers, body_of(**members)
        self.request_id = ""
        self.seen: list[Event] = []
        self._task: asyncio.Task[None] | None = None

    @property
    def text(self) -> str:
        """What it was told so far."""
        return said([event for event in self.seen if not self._is_error(event)])

    @property
    def is_done(self) -> bool:
        """Whether it saw the mark of a real end, and nothing after it."""
        return [event.data for event in self.seen].count("[DONE]") == 1 and self.seen[-1].data == "[DONE]"

    @property
    def finish(self) -> list[str]:
        """Finish reasons, in order."""
        chunks = [json.loads(e.data) for e in self.seen if e.data != "[DONE]" and not self._is_error(e)]
        return [c["finish_reason"] for chunk in chunks for c in chunk["choices"] if c["finish_reason"]]

    async def has(self, characters: int) -> None:
        """Wait until it was told so much."""
        assert self._task
        async with asyncio.timeout(PATIENCE):
            while len(self.text) < characters:
                assert not self._task.done(), self.seen
                await asyncio.sleep(0.005)

    async def over(self) -> None:
        """Wait until it has all that it gets."""
        assert self._task
        await asyncio.wait_for(asyncio.shield(self._task), PATIENCE)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator["Client"]:
        """Begin to read."""
        self._task = asyncio.create_task(self._read())
        try:
            yield self
        finally:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _read(self) -> None:
        client = httpx.AsyncClient(base_url=self.api.url, headers=bearer(USER), timeout=PATIENCE, trust_env=False)
        async with client, client.stream("POST", CHAT, json=self.body, headers=self.headers) as response:
            self.request_id = response.headers["x-request-id"]
            async for event in events_in(response):
                self.seen.append(event)

    @staticmethod
    def _is_error(event: Event) -> bool:
        return event.data != "[DONE]" and "error" in msgspec.json.decode(event.data)


def client(api: ApiProcess, headers: dict[str, str] | None = None, **members: Any) -> Client:
    """Somebody who streams 60 tokens of the slow engine, three seconds' worth, unless told otherwise."""
    return Client(api, headers or {}, **{"messages": LONG} | members)
