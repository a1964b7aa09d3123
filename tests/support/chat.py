"""A whole api process with its real socket, beside a fake inference on a real bus."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from pydantic import SecretStr

from penstock_api.app import App
from penstock_api.domain.keys import digest_of
from penstock_api.settings import BootstrapSettings, Settings
from penstock_common.contracts.catalogue import CatalogueChanged, CatalogueModel, Price
from penstock_common.messaging.connect import apply_topology
from penstock_common.service import HttpServer, begin, http_config
from penstock_common.settings import BusSettings, DatabaseSettings, FolderSettings, HttpSettings
from tests.support.api import ADMIN, USER, bearer
from tests.support.databases import Databases
from tests.support.fake_inference import FakeInference, fake_inference

PRICE = Price(version=1, currency="USD", input_nano=1, output_nano=2, cached_input_nano=1)
CATALOGUE = CatalogueChanged(version=3, models=[CatalogueModel("sim/fast", "sim", "sim", PRICE, aliases=["fast"])])
QUESTION: list[dict[str, Any]] = [{"role": "user", "content": "What is a penstock?"}]


@dataclass
class Chat:
    """An api process and what it talks to."""

    app: App
    url: str
    inference: FakeInference
    client: httpx.AsyncClient
    server: HttpServer

    async def post(self, stream: bool = False, headers: dict[str, str] | None = None, **members: Any) -> httpx.Response:
        """Ask, with the user's key, and read the whole answer."""
        body = {"model": "sim/fast", "messages": QUESTION, "stream": stream} | members
        return await self.client.post("/v1/chat/completions", json=body, headers=bearer(USER) | (headers or {}))


@dataclass
class ApiProcess:
    """An api process and its socket."""

    app: App
    url: str
    server: HttpServer


@asynccontextmanager
async def api_process(databases: Databases, bus_url: str, keyring: Path, **settings: Any) -> AsyncIterator[ApiProcess]:
    """Start one."""
    given = Settings(
        bus=BusSettings(url=SecretStr(bus_url)),
        database=DatabaseSettings(url=SecretStr(databases.services["api"])),
        http=HttpSettings(port=0),
        keyring=FolderSettings(path=keyring),
        objects=FolderSettings(path=keyring.parent / "objects"),
        bootstrap=BootstrapSettings(user_key_sha256=digest_of(USER).hex(), admin_key_sha256=digest_of(ADMIN).hex()),
        stop_grace=1,
        **settings,
    )
    app = App(given)
    await apply_topology(bus_url)
    await begin(app)
    server = HttpServer(http_config(app.asgi, given))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    try:
        yield ApiProcess(app, url, server)
    finally:
        server.should_exit = True
        await serving
        await app.stop()


@asynccontextmanager
async def chat_process(databases: Databases, bus_url: str, keyring: Path, **settings: Any) -> AsyncIterator[Chat]:
    """Start one beside a fake inference, with one model in its catalogue."""
    async with (
        api_process(databases, bus_url, keyring, **settings) as api,
        fake_inference(bus_url, keyring) as inference,
        httpx.AsyncClient(base_url=api.url, timeout=20) as client,
    ):
        api.app.catalogue.take(CATALOGUE)
        yield Chat(api.app, api.url, inference, client, api.server)
