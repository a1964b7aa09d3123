"""The catalogue of several processes: one PostgreSQL, one bus."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import text

from penstock_common.contracts.base import Contract
from penstock_common.contracts.catalogue import CatalogueChanged, RegisterModel, RemoveModel
from penstock_common.db.migrate import upgrade
from penstock_common.db.relay import Relay
from penstock_common.db.transaction import Database
from penstock_common.messaging.connect import apply_topology, connect_bus
from penstock_common.messaging.delivery import Delivery
from penstock_common.messaging.envelope import opened
from penstock_common.messaging.ports import Incoming
from penstock_common.topology import PLATFORM
from penstock_inference.adapters import catalogue as catalogue_module
from penstock_inference.adapters.catalogue import Catalogue
from penstock_inference.subscribers.catalogue import register_model, remove_model
from tests.support.deliveries import MemorySettler, delivered
from tests.support.engine_fake import FakeEngine, as_json

pytestmark = pytest.mark.integration

HANDLERS: dict[type[Contract], Callable[..., Any]] = {RegisterModel: register_model, RemoveModel: remove_model}
LLAMA = RegisterModel(name="llama", engine="vllm", url="http://127.0.0.1:9/v1", input_nano=5, aliases=["l"])


@dataclass
class Process:
    """An inference process, as far as its catalogue goes."""

    database: Database
    catalogue: Catalogue

    def __post_init__(self) -> None:
        self.settler = MemorySettler()

    async def receive(self, command: Contract, times: int = 1) -> None:
        """Handle a command as often as the bus brings it."""
        message = delivered(command)

        async def call(incoming: Incoming) -> None:
            await HANDLERS[type(command)](opened(incoming, type(command)), self)

        for _ in range(times):
            lane = next(c for c in PLATFORM.consumers if c.topic.contract is type(command))
            await Delivery(self.settler).run(call, message, lane)

    async def published(self) -> list[CatalogueChanged]:
        """Every catalogue that was told to others."""
        async with self.database.reading() as connection:
            bodies = await connection.scalars(text("select body from inference.outbox order by id"))
            return [msgspec.json.decode(body, type=CatalogueChanged) for body in bodies]


@pytest.fixture
async def url(postgres_database: str, nats_url: str) -> str:
    """A database with inference's tables, a bus with the platform's topics."""
    await upgrade("inference", postgres_database)
    await apply_topology(nats_url)
    return postgres_database


@asynccontextmanager
async def process(
    url: str, bus_url: str, models_file: Path | None = None, *, discover: bool = False
) -> AsyncIterator[Process]:
    """A process that runs."""
    async with AsyncExitStack() as stack:
        bus = await connect_bus(bus_url, "test")
        stack.push_async_callback(bus.close)
        database = Database(url, "inference", PLATFORM)
        stack.push_async_callback(database.close)
        relay = Relay(database, bus, "inference")
        await relay.start()
        stack.push_async_callback(relay.stop)
        catalogue = Catalogue(database, bus, models_file, discover=discover)
        await catalogue.start()
        stack.push_async_callback(catalogue.stop)
        yield Process(database, catalogue)


async def until(condition: Callable[[], object], seconds: float = 5.0) -> None:
    """Wait until something is true."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


async def test_a_start_serves_the_simulated_models_once(url: str, nats_url: str) -> None:
    """Processes that start together agree; the catalogue is published once, and not again by later starts."""
    async with process(url, nats_url) as first, process(url, nats_url) as second:
        assert first.catalogue.current == second.catalogue.current
    async with process(url, nats_url) as third:
        (told,) = await third.published()
        assert [model.name for model in told.models] == ["local/all-minilm-l6-v2", "sim/fast", "sim/flaky", "sim/slow"]
        assert (told.version, third.catalogue.current.version) == (1, 1)


async def test_a_registration_reaches_every_process(url: str, nats_url: str) -> None:
    """Within a second, by name and alias; a removal too."""
    async with process(url, nats_url) as first, process(url, nats_url) as second:
        await first.receive(LLAMA)
        assert first.catalogue.resolve("l")
        await until(lambda: second.catalogue.resolve("llama"))
        assert second.catalogue.resolve("l") == first.catalogue.resolve("llama")
        await second.receive(RemoveModel(name="llama"))
        await until(lambda: not first.catalogue.resolve("l"))


async def test_commands_take_effect_once(url: str, nats_url: str) -> None:
    """A message that comes twice, and another that says the same, change and publish nothing more."""
    async with process(url, nats_url) as only:
        await only.receive(LLAMA, times=2)
        await only.receive(LLAMA)
        told = await only.published()
        assert [catalogue.version for catalogue in told] == [1, 2]
        assert len(only.settler.acked) == 3


async def test_an_impossible_model_is_buried(url: str, nats_url: str) -> None:
    """The command goes to the dead letters with its reason, and the catalogue stays."""
    async with process(url, nats_url) as only:
        await only.receive(RegisterModel(name="bad", engine="vllm", url="http://169.254.169.254"))
        assert [reason for reason in only.settler.buried.values() if "link-local" in reason]
        assert only.catalogue.current.version == 1


async def test_prices_stay_for_ever(url: str, nats_url: str) -> None:
    """Each version keeps its numbers, also of models that are gone."""
    async with process(url, nats_url) as only:
        await only.receive(LLAMA)
        await only.receive(msgspec.structs.replace(LLAMA, input_nano=6))
        await only.receive(RemoveModel(name="llama"))
        async with only.database.reading() as connection:
            query = text("select version, input_nano from inference.prices where model = :name order by 1")
            rows = await connection.execute(query, {"name": "llama"})
            assert [tuple(row) for row in rows] == [(5, 5), (6, 6)]


async def test_a_catalogue_is_read_back_as_it_was_written(url: str, nats_url: str) -> None:
    """Every field survives the database."""
    full = msgspec.structs.replace(
        LLAMA, secret="K", upstream_model="Llama 3", context_tokens=5, capabilities=["chat"], cached_input_nano=1
    )
    async with process(url, nats_url) as first:
        await first.receive(full)
        async with process(url, nats_url) as second:
            assert second.catalogue.current == first.catalogue.current
            model = second.catalogue.resolve("llama")
            assert model
            assert (model.secret, model.upstream_model, model.price.cached_input_nano) == ("K", "Llama 3", 1)


async def test_lost_news_are_made_up_for(url: str, nats_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A change that nobody heard of is found by its version at the next look."""
    monkeypatch.setattr(catalogue_module, "POLL_SECONDS", 0.1)
    async with process(url, nats_url) as first, process(url, nats_url) as second:
        first.database.offer = lambda rows: None
        await first.receive(LLAMA)
        await until(lambda: second.catalogue.resolve("llama"))


async def test_processes_that_change_at_once_take_turns(url: str, nats_url: str) -> None:
    """No change is lost, no version comes twice."""
    async with process(url, nats_url) as first, process(url, nats_url) as second:
        commands = [msgspec.structs.replace(LLAMA, name=f"m{n}", aliases=[]) for n in range(8)]
        await asyncio.gather(*((first, second)[n % 2].receive(command) for n, command in enumerate(commands)))
        told = await first.published()
        assert [catalogue.version for catalogue in told] == list(range(1, 10))
        assert len(told[-1].models) == 4 + 8
        assert len({model.price.version for model in told[-1].models}) == 12


async def test_an_engines_models_are_asked_for(
    url: str, nats_url: str, upstream: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine at OPENAI_BASE_URL is asked until it answers; names that can't be served are left out."""
    monkeypatch.setattr(catalogue_module, "ASK_SECONDS", 0.05)
    monkeypatch.setenv("OPENAI_BASE_URL", upstream.url)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    offers = {"data": [{"id": "tiny"}, {"id": "not servable"}, {"id": "org/large"}]}
    upstream.will(as_json({}, 503), as_json({"data": 5}), as_json(offers))
    async with process(url, nats_url, discover=True) as only:
        await until(lambda: only.catalogue.resolve("tiny"))
        tiny = only.catalogue.resolve("tiny")
        assert tiny
        assert (tiny.secret, tiny.url, tiny.price.input_nano) == ("OPENAI_API_KEY", upstream.url, 0)
        assert only.catalogue.resolve("org/large")
        assert not only.catalogue.resolve("not servable")
        assert not only.catalogue.resolve("gpt-4o")
    assert [asked.headers["authorization"] for asked in upstream.asked] == ["Bearer sk-test"] * 3


async def test_the_file_is_served_from_the_start(url: str, nats_url: str, tmp_path: Path) -> None:
    """With one published change, whatever it lists."""
    path = tmp_path / "models.yaml"
    path.write_text("models: [{name: a, url: 'http://127.0.0.1:9'}, {name: sim/slow, enabled: false}]")
    async with process(url, nats_url, path) as only:
        assert set(only.catalogue.current.names) == {"a", "local/all-minilm-l6-v2", "sim/fast", "sim/flaky"}
        assert len(await only.published()) == 1
