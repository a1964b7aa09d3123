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
from tests.support.forks import load_ahead
from tests.support.keeper import Keeper, begin_ahead, shared_url, virtual_host
from tests.support.llama_build import llama_program

Start = Callable[[servers.Server], servers.Server]
KEEPER = pytest.StashKey[Keeper]()
TIMED_OUT = "from pytest-timeout"  # its second try would have no limit
BESIDE_SERVERS = ("tests/integration/", "tests/e2e/", "tests/chaos/test_slice")
"""Tests in which time passes outside of this process: a busy machine may fail one that is right."""
LONGEST = ("e2e", "heavy")
"""Groups of which each takes one worker about as long as all other tests take the others."""
QUICK = ("tests/unit/", "tests/state_machines/", "bench/")
WAITS, BUILDS, COMPUTES = range(len(LONGEST) + 1, len(LONGEST) + 4)


def pytest_configure(config: pytest.Config) -> None:
    """In the process that starts the workers (or is the only one): keep the run's servers."""
    if not hasattr(config, "workerinput") and not config.option.collectonly:
        config.stash[KEEPER] = Keeper()
        config.stash[KEEPER].start()


def pytest_sessionstart(session: pytest.Session) -> None:
    """In one of several workers, which will run tests of every kind: load what their processes are forked from."""
    if hasattr(session.config, "workerinput"):
        load_ahead()


@pytest.hookimpl(trylast=True)  # when -k and -m have chosen
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What takes longest comes first; the engine's build begins now; who fails beside servers is asked once more."""
    items.sort(key=lambda item: (turn(item), "platform" in getattr(item, "fixturenames", ())))  # a shared one ends last
    for item in items:
        if item.nodeid.startswith(BESIDE_SERVERS):  # once more, and the summary names it; `make chaos` never does
            item.add_marker(pytest.mark.flaky(reruns=1, rerun_except=TIMED_OUT))
    if any(turn(item) == BUILDS for item in items) and not config.option.collectonly:
        begin_ahead("llama")


def turn(item: pytest.Item) -> int:
    """Groups first, each of which one worker has to itself; many small ones last, so that all workers end at once."""
    if "llama_built" in getattr(item, "fixturenames", ()):
        return BUILDS
    if group := item.get_closest_marker("xdist_group"):
        return LONGEST.index(group.args[0]) if group.args[0] in LONGEST else len(LONGEST)
    return COMPUTES if item.nodeid.startswith(QUICK) else WAITS


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


@pytest.fixture(scope="session")
def llama_built() -> Path:
    """llama.cpp's server program, once its build is done; tests that ask for it run last."""
    return llama_program()


@pytest.fixture(scope="session")
def llama(llama_built: Path) -> Iterator[servers.Server]:
    """A running llama.cpp with the tiny model, for the tests that leave it alive."""
    server = servers.llama_server(llama_built).start()
    yield server
    server.dispose()
