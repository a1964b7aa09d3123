"""Deliveries while a server is away."""

import asyncio
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from penstock_common.contracts.base import decode
from penstock_common.contracts.runs import StartRun
from penstock_common.topology import START_RUN
from tests.conftest import Start
from tests.integration.api.test_hooks import make, post
from tests.support import servers
from tests.support.api import USER, bearer
from tests.support.chat import api_process
from tests.support.databases import Databases, execute

pytestmark = pytest.mark.integration


async def test_a_delivery_is_taken_while_the_bus_is_away(
    platform_databases: Databases, private_server: Start, tmp_path: Path
) -> None:
    """The order of its run is on disk, and goes out when the bus is back."""
    nats = private_server(servers.nats_server())
    async with (
        api_process(platform_databases, nats.url, tmp_path / "keyring") as api,
        httpx.AsyncClient(base_url=api.url, headers=bearer(USER), timeout=20) as client,
    ):
        made = await make(client)
        nats.kill()
        taken = await post(client, made, b"{}")
        assert taken.status_code == 202
        assert (await post(client, made, b"{}")).json() == taken.json() | {"duplicate": True}
        nats.start()
        heard: asyncio.Queue[bytes] = asyncio.Queue()
        async with asyncio.timeout(20):
            while not api.app.bus.connected:
                await asyncio.sleep(0.1)
            await api.app.bus.listen(START_RUN, heard.put)
            order = decode(StartRun, await heard.get())
        assert str(order.run_id) == taken.json()["run_id"]


async def test_a_delivery_is_refused_while_the_database_is_away(
    platform_databases: Databases, postgres_url: str, nats_url: str, tmp_path: Path
) -> None:
    """503, so that its sender comes again; then it is taken."""
    name = urlsplit(platform_databases.admin).path[1:]
    async with (
        api_process(platform_databases, nats_url, tmp_path / "keyring") as api,
        httpx.AsyncClient(base_url=api.url, headers=bearer(USER), timeout=20) as client,
    ):
        made = await make(client)
        sessions = f"select pg_terminate_backend(pid) from pg_stat_activity where datname = '{name}'"
        await execute(postgres_url, f"alter database {name} with allow_connections false", sessions)
        refused = await post(client, made, b"{}")
        assert (refused.status_code, refused.json()["code"]) == (503, "common.database_unavailable")
        assert int(refused.headers["retry-after"]) > 0
        await execute(postgres_url, f"alter database {name} with allow_connections true")
        again = await post(client, made, b"{}")
        assert (again.status_code, again.json()["duplicate"]) == (202, False)
