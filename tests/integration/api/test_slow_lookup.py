"""What a client hears of its request while the services that know of it are slow, or silent."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from penstock.platform.ports import LOOPBACK, free_ports
from penstock_api.adapters.generation_lookup import FIND_SECONDS, GenerationLookup
from penstock_api.adapters.request_history import RequestHistory
from penstock_api.domain.inference import InferenceNotFound
from penstock_common.clock import SystemClock
from penstock_common.contracts.base import decode, encode
from penstock_common.contracts.generation import (
    About,
    FindGeneration,
    GenerationFound,
    GenerationState,
    GenerationStates,
    ReadGenerations,
)
from penstock_common.db.transaction import Database
from penstock_common.ids import uuid7
from penstock_common.messaging.connect import apply_topology, connect_bus
from penstock_common.topology import FIND_GENERATION, PLATFORM, READ_GENERATIONS
from tests.support.databases import Databases

pytestmark = pytest.mark.integration

Answer = Callable[[bytes], Awaitable[bytes | None]]
NOW = datetime.now(UTC)
ABOUT = About(uuid7(), uuid7(), "sim/fast", "fast", True, False, NOW, NOW + timedelta(minutes=5))


async def silent(_: bytes) -> bytes | None:
    """The records are with a database that is away."""
    return None


async def slow(body: bytes) -> bytes | None:
    """The process that runs it has much to do."""
    await asyncio.sleep(2 * FIND_SECONDS)
    request_id = decode(FindGeneration, body).request_id
    return encode(GenerationFound(request_id=request_id, process="inference-1", attempt=1, about=ABOUT))


async def unknown(body: bytes) -> bytes:
    """It has not ended, and nobody wrote down that it began."""
    ids = decode(ReadGenerations, body).request_ids
    return encode(GenerationStates(states=[GenerationState(request_id=id_, outcome="unknown") for id_ in ids]))


@asynccontextmanager
async def looking(bus_url: str, database_url: str, records: Answer) -> AsyncIterator[GenerationLookup]:
    """A process whose requests are run by a slow one, and recorded by one that answers so."""
    await apply_topology(bus_url)
    database = Database(database_url, "api", PLATFORM)
    ours, theirs = await connect_bus(bus_url, "api"), await connect_bus(bus_url, "inference")
    try:
        await theirs.answer(FIND_GENERATION, slow, everyone=True)
        await theirs.answer(READ_GENERATIONS, records)
        yield GenerationLookup("api-1", ours, database, RequestHistory(database, SystemClock()), lambda _: None)
    finally:
        await ours.close()
        await theirs.close()
        await database.close()


async def test_a_running_answer_is_found_without_a_database_however_slow_its_process_is(bus_url: str) -> None:
    """A client that is refused meanwhile would count as gone, and its answer be stopped."""
    (nowhere,) = free_ports(1)
    async with looking(bus_url, f"postgresql://me:secret@{LOOPBACK}:{nowhere}/penstock", silent) as lookup:
        known = await lookup.begun(ABOUT.tenant, uuid7())
        assert (known.state.outcome, known.state.attempt, known.about) == ("running", 1, ABOUT)


async def test_a_running_answer_is_found_that_its_api_process_did_not_live_to_write_down(
    bus_url: str, platform_databases: Databases
) -> None:
    """And that its own process, which has much to do, is slow to tell of; what is too old to run is not waited for."""
    async with looking(bus_url, platform_databases.services["api"], unknown) as lookup:
        known = await lookup.find(ABOUT.tenant, uuid7())
        assert (known.state.outcome, known.about) == ("running", ABOUT)
        with pytest.raises(InferenceNotFound):
            await lookup.find(ABOUT.tenant, uuid7(at_ms=1_700_000_000_000))
