"""What a client was told of its request, and what everyone else knows of it in the end."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import asyncpg
import httpx

from penstock_common.messaging.connect import make_inspector
from penstock_common.topology import PLATFORM
from tests.support.api import USER, bearer

SECONDS = 90.0
OURS = ("api-", "billing-", "inference-")
"""The services of a scene, by their lanes."""


@dataclass
class Reader:
    """A client of one stream, and all that it was told."""

    request_id: str = ""
    text: str = ""
    finishes: list[str] = field(default_factory=list)
    dones: int = 0
    errors: list[Any] = field(default_factory=list)

    @property
    def is_over(self) -> bool:
        """Whether the stream said how it ended."""
        return bool(self.dones or self.errors)

    async def read(self, client: httpx.AsyncClient, model: str, text: str) -> None:
        """Ask, and read until the stream ends."""
        body = {"model": model, "messages": [{"role": "user", "content": f"sim: say {text}"}], "stream": True}
        async with client.stream("POST", "/v1/chat/completions", json=body, headers=bearer(USER)) as response:
            self.request_id = response.headers["x-request-id"]
            if response.is_error:
                await response.aread()
                self.errors.append(response.json()["error"]["code"])
            async for line in response.aiter_lines():
                if line.startswith("data: "):
                    self._take(line.removeprefix("data: "))

    def _take(self, data: str) -> None:
        if data == "[DONE]":
            self.dones += 1
            return
        event = json.loads(data)
        if "error" in event:
            self.errors.append(event["error"]["code"])
        for choice in event.get("choices", ()):
            self.text += choice["delta"].get("content") or ""
            if choice["finish_reason"]:
                self.finishes.append(choice["finish_reason"])


@dataclass(frozen=True)
class Ending:
    """How a request ended, for everyone who knows of it."""

    text: str
    finishes: tuple[str, ...]
    dones: int
    errors: tuple[Any, ...]
    outcome: str
    status: str
    charges: tuple[int, ...]
    """Completion tokens of each entry in the customer's book."""
    said: int
    """Facts of its end that inference published."""
    is_booked: bool
    """Whether the provider's book has each of its attempts; the last one only if it produced anything."""


class Records:
    """What the services wrote down, and what still waits on the bus."""

    def __init__(self, database_url: str, bus_url: str) -> None:
        self.database_url, self.bus_url = database_url, bus_url

    async def settled(self) -> None:
        """Nothing waits: not on the bus, not in an outbox, not for an end."""
        loop = asyncio.get_running_loop()
        end = loop.time() + SECONDS
        while waits := await self._waits():
            assert loop.time() < end, waits
            await asyncio.sleep(0.2)

    async def _waits(self) -> list[Any]:
        state = await make_inspector(self.bus_url).look(PLATFORM)
        ours = [(name, lane) for name, lane in state.lanes.items() if name.startswith(OURS)]
        unpublished = await self._rows("select message_id from inference.outbox where published_at is null")
        without_end = await self._rows("select request_id from api.requests where status = 'accepted'")
        return [*[lane for lane in ours if lane[1].waiting or lane[1].unfinished], *unpublished, *without_end]

    async def ending(self, reader: Reader) -> Ending:
        """How one request ended."""
        request_id = UUID(reader.request_id)
        (outcome,) = await self._rows("select outcome from inference.generations where request_id = $1", request_id)
        (status,) = await self._rows("select status from api.requests where request_id = $1", request_id)
        charges = "select completion_tokens from billing.entries where book = 'customer' and request_id = $1"
        said = "select count(*) from inference.outbox where message_id = $1"
        booked = """
            select array_agg(distinct e.attempt order by e.attempt) = array(
                select generate_series(1, r.attempt - cast(r.completion_tokens = 0 as int)))
            from inference.generations r join billing.entries e using (request_id)
            where request_id = $1 and book = 'provider' group by r.attempt, r.completion_tokens"""
        return Ending(
            reader.text,
            tuple(reader.finishes),
            reader.dones,
            tuple(reader.errors),
            outcome,
            status,
            tuple(await self._rows(charges, request_id)),
            (await self._rows(said, f"{request_id}.completed"))[0],
            await self._rows(booked, request_id) == [True],
        )

    async def _rows(self, statement: str, *given: Any) -> list[Any]:
        connection = await asyncpg.connect(self.database_url)
        try:
            return [row[0] for row in await connection.fetch(statement, *given)]
        finally:
            await connection.close()


async def until(found: Callable[[], Any], otherwise: Callable[[], str]) -> Any:
    """What `found` gives, once that is something."""
    end = asyncio.get_running_loop().time() + SECONDS
    while not (given := found()):
        assert asyncio.get_running_loop().time() < end, otherwise()
        await asyncio.sleep(0.02)
    return given
