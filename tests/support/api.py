"""Parts of an api process for tests, on real servers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from penstock_api.adapters.catalogue import Catalogue
from penstock_api.adapters.key_store import KeyTable
from penstock_api.adapters.keys import Keys
from penstock_api.adapters.local_keys import local_keys
from penstock_api.domain.keys import digest_of, secret_of
from penstock_common.clock import SystemClock
from penstock_common.db.migrate import upgrade
from penstock_common.db.relay import Relay
from penstock_common.db.transaction import Database
from penstock_common.messaging.connect import apply_topology, make_bus
from penstock_common.messaging.ports import Bus
from penstock_common.topology import PLATFORM

USER = secret_of(b"u" * 32)
ADMIN = secret_of(b"a" * 32)


def bearer(secret: str) -> dict[str, str]:
    """The header that carries a key."""
    return {"authorization": f"Bearer {secret}"}


@dataclass(frozen=True, slots=True)
class Process:
    """What one api process holds of keys and models."""

    database: Database
    bus: Bus
    table: KeyTable
    keys: Keys
    catalogue: Catalogue


async def prepare(database_url: str, bus_url: str) -> None:
    """The schema of api, and what the topology declares."""
    await upgrade("api", database_url)
    await apply_topology(bus_url)


@asynccontextmanager
async def api_process(database_url: str, bus_url: str, *, admin: str = ADMIN) -> AsyncIterator[Process]:
    """Start one; several on the same servers are replicas."""
    database, bus = Database(database_url, "api", PLATFORM), make_bus(bus_url, "api")
    await bus.connect()
    table = KeyTable(database)
    process = Process(database, bus, table, Keys(table, bus, SystemClock()), Catalogue(database, bus))
    relay = Relay(database, bus, "api")
    await table.ensure(local_keys(digest_of(USER).hex(), digest_of(admin).hex()))
    try:
        await process.keys.start()
        await process.catalogue.start()
        await relay.start()
        yield process
        await relay.stop()
    finally:
        await process.catalogue.stop()
        await process.keys.stop()
        await bus.close()
        await database.close()
