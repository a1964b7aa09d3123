"""What a client hears of its request while the services that know of it are slow, or silent."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from penstock.platform.ports import LOOPBACK, free_ports
from penstock_api.adapters.generation_lookup import FIND_SECONDS, GenerationLookup
from penstock_api.adapters.request_history import RequestHistory
from penstock_common.clock import SystemClock
from penstock_common.contracts.base import decode, encode
from penstock_common.contracts.generation import About, FindGeneration, GenerationFound
from penstock_common.db.transaction import Database
from penstock_common.ids import uuid7
from penstock_common.messaging.connect import apply_topology, connect_bus
from penstock_common.topology import FIND_GENERATION, PLATFORM, READ_GENERATION

pytestmark = pytest.mark.integration

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


async def test_a_running_answer_is_found_without_a_database_however_slow_its_process_is(bus_url: str) -> None:
    """A client that is refused meanwhile would count as gone, and its answer be stopped."""
    await apply_topology(bus_url)
    (nowhere,) = free_ports(1)
    database = Database(f"postgresql://me:secret@{LOOPBACK}:{nowhere}/penstock", "api", PLATFORM)
    ours, theirs = await connect_bus(bus_url, "api"), await connect_bus(bus_url, "inference")
    lookup = GenerationLookup("api-1", ours, database, RequestHistory(database, SystemClock()), lambda _: None)
    try:
        await theirs.answer(FIND_GENERATION, slow, everyone=True)
        await theirs.answer(READ_GENERATION, silent)
        known = await lookup.begun(ABOUT.tenant, uuid7())
        assert (known.state.outcome, known.state.attempt, known.about) == ("running", 1, ABOUT)
    finally:
        await ours.close()
        await theirs.close()
        await database.close()
