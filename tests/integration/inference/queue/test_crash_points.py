"""A process killed at each point of what the queue does: every request ends once, and is charged once."""

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import httpx
import pytest

from penstock_billing import app as billing
from penstock_billing.settings import Settings as BillingSettings
from penstock_common.service import begin
from tests.integration.inference.crash.endings import Records, until
from tests.integration.inference.queue.crashing import EXPIRED, POINTS, live
from tests.support.chat import ApiProcess, api_process
from tests.support.databases import Databases
from tests.support.forks import lived
from tests.support.inference import inference_process
from tests.support.replicas import client_of
from tests.support.submitting import a_request, rows, submitted

pytestmark = [pytest.mark.integration, pytest.mark.chaos, pytest.mark.timeout(240)]

LEFT = """
select (select count(*) from inference.queue) + (select coalesce(sum(waiting), 0) from inference.queue_tenants)
"""


@pytest.fixture
async def api(platform_databases: Databases, bus_url: str, tmp_path: Path) -> AsyncIterator[ApiProcess]:
    """An api that knows its models, beside billing; inference comes and dies."""
    given = {"bus": {"url": bus_url}, "database": {"url": platform_databases.services["billing"]}, "http": {"port": 0}}
    async with api_process(platform_databases, bus_url, tmp_path / "keyring") as api:
        books = billing.build(BillingSettings.model_validate(given))
        await begin(books)
        async with inference_process(platform_databases, bus_url, tmp_path):
            await until(lambda: api.app.catalogue.version, lambda: "no catalogue")
        yield api
        await books.stop()


async def asked(client: httpx.AsyncClient, point: str) -> str:
    """A request for a point; one that expires in the queue is past its deadline when this returns."""
    if point in POINTS:
        return await submitted(client, a_request("one two three"))
    id_ = await submitted(client, a_request("one two three", deadline_seconds=1))
    await asyncio.sleep(1.1)
    return id_


async def test_every_request_ends_once(
    platform_databases: Databases, bus_url: str, tmp_path: Path, api: ApiProcess
) -> None:
    """Whatever the one that died had done: one end of the right kind, said once, charged once, and nothing left."""
    wanted: dict[str, str] = {}
    inference = platform_databases.services["inference"]
    async with client_of(api) as client:
        for point in (*POINTS, *EXPIRED):
            wanted[await asked(client, point)] = "succeeded" if point in POINTS else "expired"
            assert await lived(live, inference, bus_url, tmp_path, point) == -signal.SIGKILL, point
    async with inference_process(platform_databases, bus_url, tmp_path):
        await Records(platform_databases.admin, bus_url).settled()
        await until_none(platform_databases, LEFT)
    for id_, outcome in wanted.items():
        assert await ends_of(platform_databases, id_) == (outcome, outcome, 1, [0 if outcome == "expired" else 3]), id_


async def until_none(databases: Databases, statement: str) -> None:
    """Wait until a count is nothing."""
    async with asyncio.timeout(20):
        while (await rows(databases, statement))[0]:
            await asyncio.sleep(0.1)


async def ends_of(databases: Databases, id_: str) -> tuple[str, str, int, list[int]]:
    """What inference and api say of the end, how often it was said, and the tokens of each charge."""
    key = UUID(id_)
    (outcome,) = await rows(databases, "select outcome from inference.generations where request_id = $1", key)
    (status,) = await rows(databases, "select status from api.requests where request_id = $1", key)
    (said,) = await rows(databases, "select count(*) from inference.outbox where message_id = $1", f"{id_}.completed")
    charges = "select completion_tokens from billing.entries where book = 'customer' and request_id = $1"
    return outcome, status, said, await rows(databases, charges, key)
