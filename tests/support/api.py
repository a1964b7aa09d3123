"""Api processes for tests, on real servers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx

from penstock_api.app import App, build
from penstock_api.domain.keys import digest_of, secret_of
from penstock_api.settings import BootstrapSettings, Settings
from penstock_common.db.migrate import upgrade
from penstock_common.messaging.connect import apply_topology
from penstock_common.service import HttpServer, begin, http_config
from penstock_common.settings import BusSettings, DatabaseSettings, FolderSettings, HttpSettings

USER = secret_of(b"u" * 32)
ADMIN = secret_of(b"a" * 32)


def bearer(secret: str) -> dict[str, str]:
    """The header that carries a key."""
    return {"authorization": f"Bearer {secret}"}


async def prepare(database_url: str, bus_url: str) -> None:
    """The schema of api, and what the topology declares."""
    await upgrade("api", database_url)
    await apply_topology(bus_url)


def settings(database_url: str, bus_url: str, keyring: Path, *, admin: str = ADMIN) -> Settings:
    """Settings of a process that knows the keys USER and `admin`."""
    return Settings(
        bus=BusSettings(url=bus_url),
        database=DatabaseSettings(url=database_url),
        http=HttpSettings(port=0),
        keyring=FolderSettings(path=keyring),
        objects=FolderSettings(path=keyring.parent / "objects"),
        bootstrap=BootstrapSettings(user_key_sha256=digest_of(USER).hex(), admin_key_sha256=digest_of(admin).hex()),
        stop_grace=1.0,
    )


@asynccontextmanager
async def api_process(database_url: str, bus_url: str, *, admin: str = ADMIN) -> AsyncIterator[App]:
    """One api process; several on the same servers are replicas."""
    with TemporaryDirectory() as keyring:
        app = build(settings(database_url, bus_url, Path(keyring), admin=admin))
        try:
            await begin(app)
            yield app
        finally:
            await app.stop()


@asynccontextmanager
async def client_of(app: App) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a process's routes, over a real socket."""
    server = HttpServer(http_config(app.asgi, app.settings))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
        yield client
    server.should_exit = True
    await serving
