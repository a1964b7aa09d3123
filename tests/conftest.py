"""Fixtures for every test: real servers, shared by the run or private to one test."""

import os
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import nats
import pytest

from tests.support import servers
from tests.support.databases import Databases, temporary_database, temporary_platform
from tests.support.keeper import Keeper, shared_url, virtual_host

Start = Callable[[servers.Server], servers.Server]
KEEPER = pytest.StashKey[Keeper]()


def pytest_configure(config: pytest.Config) -> None:
    """In the process that starts the workers (or is the only one): keep the run's servers."""
    if not hasattr(config, "workerinput") and not config.option.collectonly:
        config.stash[KEEPER] = Keeper()
        config.stash[KEEPER].start()


def pytest_unconfigure(config: pytest.Config) -> None:
    """End the run's servers."""
    if keeper := config.stash.get(KEEPER, None):
        keeper.close()


@pytest.fixture(scope="session")
def nats_server_url() -> Iterator[str]:
    """NATS with JetStream, one server a worker (a server takes 30 ms)."""
    if given := os.environ.get("PENSTOCK_TEST_NATS_URL"):
        yield given
        return
    server = servers.nats_server().start()
    yield server.url
    server.dispose()


@pytest.fixture
async def nats_url(nats_server_url: str) -> str:
    """NATS without any stream."""
    client = await nats.connect(nats_server_url)
    manager = client.jetstream()
    for stream in await manager.streams_info():
        assert stream.config.name
        await manager.delete_stream(stream.config.name)
    await client.close()
    return nats_server_url


@pytest.fixture(scope="session")
def postgres_url() -> str:
    """The run's PostgreSQL, as superuser, in the database that always exists."""
    return shared_url("postgres")


@pytest.fixture
async def postgres_database(postgres_url: str) -> AsyncIterator[str]:
    """An empty database, as superuser."""
    async with temporary_database(postgres_url) as url:
        yield url


@pytest.fixture
async def platform_databases(postgres_url: str) -> AsyncIterator[Databases]:
    """A database with the roles, schemas and tables of all services."""
    async with temporary_platform(postgres_url) as databases:
        yield databases


@pytest.fixture
def data_folder() -> Iterator[Path]:
    """Where a platform can keep its data: unlike pytest's own folders it is open to PostgreSQL's account."""
    folder = servers.scratch_folder("data")
    yield folder / "data"
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def rabbitmq_url() -> Iterator[str]:
    """An empty virtual host of the run's RabbitMQ."""
    with virtual_host() as url:
        yield url


@pytest.fixture(params=["nats_url", "rabbitmq_url"])
def bus_url(request: pytest.FixtureRequest) -> str:
    """Each bus, empty."""
    url: str = request.getfixturevalue(request.param)
    return url


@pytest.fixture
def private_server() -> Iterator[Start]:
    """Starts a server for this test alone, to be killed or frozen: `private_server(nats_server())`."""
    with ExitStack() as stack:

        def start(server: servers.Server) -> servers.Server:
            stack.callback(server.dispose)
            return server.start()

        yield start
