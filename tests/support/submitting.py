"""A client of requests whose answers are fetched later."""

import asyncio
from typing import Any
from uuid import UUID

import asyncpg
import httpx

from tests.support.databases import Databases

PATH = "/api/v1/inference"
ENDS = frozenset({"succeeded", "partial", "cancelled", "expired", "failed", "lost"})


def a_request(text: str = "hello", *, model: str = "sim/fast", **members: Any) -> dict[str, Any]:
    """The body of a submission that the simulated engine answers with this text."""
    chat = {"model": model, "messages": [{"role": "user", "content": f"sim: say {text}"}]}
    return {"request": chat} | members


async def submitted(client: httpx.AsyncClient, body: dict[str, Any], **headers: str) -> str:
    """The id under which a request was accepted."""
    answer = await client.post(PATH, json=body, headers=headers)
    assert answer.status_code == 202, answer.text
    id_: str = answer.json()["id"]
    assert answer.headers["location"] == f"{PATH}/{id_}"
    assert answer.headers["x-request-id"] == id_
    return id_


async def state_of(client: httpx.AsyncClient, request_id: str) -> dict[str, Any]:
    """What its route says of a request."""
    answer = await client.get(f"{PATH}/{request_id}")
    assert answer.status_code == 200, answer.text
    state: dict[str, Any] = answer.json()
    return state


async def ended(client: httpx.AsyncClient, request_id: str, seconds: float = 60.0) -> dict[str, Any]:
    """The state of a request once it has ended."""
    async with asyncio.timeout(seconds):
        while (state := await state_of(client, request_id))["state"] not in ENDS:
            await asyncio.sleep(0.1)
    return state


async def failed(client: httpx.AsyncClient, request_id: str, seconds: float = 60.0) -> dict[str, Any]:
    """The state of a request once it has failed, with its cause: while inference is silent, api tells what it knows."""
    async with asyncio.timeout(seconds):
        while not (state := await ended(client, request_id))["error_code"]:
            await asyncio.sleep(0.1)
    return state


async def waiting(client: httpx.AsyncClient, request_id: str, seconds: float = 30.0) -> dict[str, Any]:
    """The state of a request once it is known to wait in the queue."""
    async with asyncio.timeout(seconds):
        while (state := await state_of(client, request_id))["position"] is None:
            await asyncio.sleep(0.05)
    return state


async def rows(databases: Databases, statement: str, *given: Any) -> list[Any]:
    """The first column of what a statement gives, asked as superuser."""
    connection = await asyncpg.connect(databases.admin)
    try:
        return [row[0] for row in await connection.fetch(statement, *given)]
    finally:
        await connection.close()


async def order_of_ends(databases: Databases, ids: list[str]) -> list[str]:
    """Ids in the order in which their requests began."""
    statement = "select request_id from inference.generations where request_id = any($1) order by started_at"
    return [str(id_) for id_ in await rows(databases, statement, [UUID(id_) for id_ in ids])]
