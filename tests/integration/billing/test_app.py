"""The whole billing process on a real bus and database."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from penstock_billing.app import App, build
from penstock_billing.settings import Settings
from penstock_common.contracts.base import decode, encode
from penstock_common.contracts.billing import ReadUsage, UsageRecorded, UsageReport
from penstock_common.contracts.generation import GenerationCompleted
from penstock_common.errors import SchemaMissing
from penstock_common.messaging.connect import apply_topology, connect_bus
from penstock_common.messaging.envelope import envelop
from penstock_common.messaging.ports import Bus
from penstock_common.service import begin
from penstock_common.topology import PLATFORM, READ_USAGE, USAGE_RECORDED
from tests.support.billing import TENANT, a_catalogue, a_completion, id_of

pytestmark = pytest.mark.integration


@pytest.fixture
async def bus(nats_url: str) -> AsyncIterator[Bus]:
    """Another process's connection to a bus that has the platform's topology."""
    await apply_topology(nats_url)
    bus = await connect_bus(nats_url, "test")
    yield bus
    await bus.close()


@pytest.fixture
async def app(nats_url: str, bus: Bus, billing_url: str) -> AsyncIterator[App]:
    """A running billing process."""
    app = build(settings(nats_url, billing_url))
    await begin(app)
    yield app
    await app.stop()


def settings(bus: str, database: str) -> Settings:
    """Addresses alone."""
    return Settings.model_validate({"bus": {"url": bus}, "database": {"url": database}, "http": {"port": 0}})


async def publish(bus: Bus, *events: GenerationCompleted) -> None:
    """As inference's relay does."""
    topic = PLATFORM.topic(GenerationCompleted)
    await asyncio.gather(*(bus.publish(envelop(e, topic, message_id=id_of(e))) for e in events))


async def usage(bus: Bus, question: ReadUsage) -> UsageReport:
    """As api asks."""
    return decode(UsageReport, await bus.query(READ_USAGE, encode(question), 5.0))


async def test_completions_are_charged_and_told(app: App, bus: Bus) -> None:
    """Also those that came before their price; the whole way over the bus."""
    told: list[UsageRecorded] = []
    everything = asyncio.Event()
    events = [a_completion() for _ in range(50)]

    async def hear(body: bytes) -> None:
        told.append(decode(UsageRecorded, body))
        if len(told) == len(events):
            everything.set()

    await bus.listen(USAGE_RECORDED, hear)
    await publish(bus, *events, *events[:10])
    catalogue = a_catalogue()
    await bus.publish(envelop(catalogue, PLATFORM.topic(type(catalogue))))
    await asyncio.wait_for(everything.wait(), 20)
    assert {fact.request_id for fact in told} == {e.request_id for e in events}
    report = await usage(bus, ReadUsage(tenant=TENANT))
    assert (report.requests, report.cost_nano) == (50, 50 * 4_400_000)


async def test_readiness_names_its_dependencies(app: App) -> None:
    """Each one by itself."""
    assert await app.checks() == {"started": True, "bus": True, "database": True}
    assert [route.path for route in app.asgi.routes] == ["/healthz", "/readyz", "/metrics"]


async def test_a_database_without_the_schema_stops_the_start(nats_url: str, bus: Bus, postgres_database: str) -> None:
    """The error says what to run."""
    app = build(settings(nats_url, postgres_database))
    with pytest.raises(SchemaMissing, match="schema_missing") as caught:
        await app.connect()
    assert "penstock migrate" in caught.value.message
    await app.stop()
