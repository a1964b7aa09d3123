"""Two api processes beside one of inference, and what a client of server-sent events needs to talk to them."""

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
import httpx

from penstock_api.domain.keys import digest_of
from penstock_inference.app import App as Inference
from tests.support.api import ADMIN, USER, bearer
from tests.support.chat import ApiProcess, api_process
from tests.support.databases import Databases
from tests.support.inference import inference_process

CHAT = "/v1/chat/completions"
QUESTION: list[dict[str, Any]] = [{"role": "user", "content": "Name a river."}]
LONG = "sim: say " + " ".join(f"water {number}" for number in range(300))
"""A question whose answer takes a minute of `sim/slow`."""
KEPT = {"x-penstock-on-disconnect": "continue"}


class Event(NamedTuple):
    """One server-sent event."""

    id: str
    kind: str
    data: str


@dataclass
class Replicas:
    """They, on the same bus and databases."""

    databases: Databases
    first: ApiProcess
    second: ApiProcess
    inference: Inference

    async def outcomes(self) -> list[str]:
        """How the requests ended that inference knows of."""
        connection = await asyncpg.connect(self.databases.services["inference"])
        try:
            return [row["outcome"] for row in await connection.fetch("select outcome from inference.generations")]
        finally:
            await connection.close()

    async def outcome(self, request_id: str, seconds: float = 10.0) -> str:
        """How a request ended, once it has."""
        connection = await asyncpg.connect(self.databases.services["inference"])
        query = "select outcome from inference.generations where request_id = $1 and outcome <> 'running'"
        try:
            async with asyncio.timeout(seconds):
                while (outcome := await connection.fetchval(query, UUID(request_id))) is None:
                    await asyncio.sleep(0.02)
            return str(outcome)
        finally:
            await connection.close()


@asynccontextmanager
async def replicas_on(databases: Databases, bus_url: str, folder: Path, **settings: Any) -> AsyncIterator[Replicas]:
    """Start them; `settings` are those of api."""
    async with AsyncExitStack() as stack:
        inference = await stack.enter_async_context(inference_process(databases, bus_url, folder))
        first, second = [
            await stack.enter_async_context(api_process(databases, bus_url, folder / "keyring", **settings))
            for _ in range(2)
        ]
        async with asyncio.timeout(10):
            while not (first.app.catalogue.version and second.app.catalogue.version):
                await asyncio.sleep(0.05)
        yield Replicas(databases, first, second, inference)


def long_body() -> dict[str, Any]:
    """A streamed request that takes about a minute."""
    return body_of(max_tokens=4000, messages=[{"role": "user", "content": LONG}])


def client_of(api: ApiProcess, key: str = USER) -> httpx.AsyncClient:
    """A client with a key."""
    return httpx.AsyncClient(base_url=api.url, headers=bearer(key), timeout=30, trust_env=False)


def body_of(**members: Any) -> dict[str, Any]:
    """A streamed request that takes about two seconds."""
    return {"model": "sim/slow", "messages": QUESTION, "stream": True, "max_tokens": 60} | members


async def events_in(response: httpx.Response) -> AsyncIterator[Event]:
    """The events of a response, as they come."""
    fields: dict[str, str] = {}
    async for line in response.aiter_lines():
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
        elif fields:
            yield Event(fields.get("id", ""), fields.get("event", ""), fields.get("data", ""))
            fields = {}


async def begun(api: ApiProcess, events: int, headers: dict[str, str] | None = None, **members: Any) -> "Cut":
    """Ask for a stream, and leave it after so many events."""
    seen: list[Event] = []
    async with (
        client_of(api) as client,
        client.stream("POST", CHAT, json=body_of(**members), headers=KEPT if headers is None else headers) as response,
    ):
        stream = events_in(response)
        while len(seen) < events:
            seen.append(await anext(stream))
    return Cut(response.headers["x-request-id"], seen)


@dataclass
class Cut:
    """What a client has of a stream that it left."""

    request_id: str
    seen: list[Event]

    @property
    def path(self) -> str:
        """Where the request is."""
        return f"/api/v1/inference/{self.request_id}"

    async def more(self, api: ApiProcess, events: int) -> None:
        """Read so many more events, or to the end."""
        async with (
            client_of(api) as client,
            client.stream("GET", f"{self.path}/stream", headers={"last-event-id": self.seen[-1].id}) as response,
        ):
            stream = events_in(response)
            while events and self.seen[-1].data != "[DONE]":
                self.seen.append(await anext(stream))
                events -= 1

    async def rest(self, api: ApiProcess, after: str | None = None, query: str = "") -> list[Event]:
        """All that follows, from a process; after the last event that was seen where nothing else is said."""
        last = self.seen[-1].id if after is None else after
        async with (
            client_of(api) as client,
            client.stream("GET", f"{self.path}/stream{query}", headers={"last-event-id": last}) as response,
        ):
            if response.status_code != 200:
                raise AssertionError((response.status_code, (await response.aread()).decode()))
            return [event async for event in events_in(response)]

    async def status(self, api: ApiProcess, after: str = "", path: str = "/stream") -> tuple[int, str]:
        """The status and the code of an answer without events."""
        async with client_of(api) as client:
            answer = await client.get(self.path + path, headers={"last-event-id": after} if after else {})
        return answer.status_code, answer.json()["code"] if answer.content else ""


def text_of(events: list[Event], choice: int = 0) -> str:
    """The text of a choice; fails where the end is missing."""
    assert events[-1].data == "[DONE]"
    return said(events, choice)


def said(events: list[Event], choice: int = 0) -> str:
    """What these events say in a choice."""
    chunks = [json.loads(event.data) for event in events if not event.kind and event.data != "[DONE]"]
    choices = [c for chunk in chunks for c in chunk["choices"] if c["index"] == choice]
    return "".join(c["delta"].get("content") or "" for c in choices)


@contextmanager
def doomed_api(databases: Databases, bus_url: str, folder: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """An api process of its own, to be killed; its address and itself."""
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    given = {
        "BUS__URL": bus_url,
        "DATABASE__URL": databases.services["api"],
        "HTTP__PORT": str(port),
        "HTTP__FD": str(listening.fileno()),
        "KEYRING__PATH": str(folder / "keyring"),
        "OBJECTS__PATH": str(folder / "objects"),
        "BOOTSTRAP__USER_KEY_SHA256": digest_of(USER).hex(),
        "BOOTSTRAP__ADMIN_KEY_SHA256": digest_of(ADMIN).hex(),
    }
    environment = os.environ | {f"PENSTOCK_API_{name}": value for name, value in given.items()}
    command = [sys.executable, "-m", "penstock_api"]
    with subprocess.Popen(command, env=environment, pass_fds=[listening.fileno()]) as process:
        listening.close()
        try:
            yield f"http://127.0.0.1:{port}", process
        finally:
            process.kill()
