"""A process that starts while its database has too much to do, or no room."""

import asyncio

import asyncpg
import pytest

from penstock_billing.settings import Settings
from penstock_common.db.heads import require_schema
from penstock_common.db.migrate import LOCK
from penstock_common.errors import DatabaseUnavailable
from penstock_common.foundation import Foundation
from penstock_common.service import patiently
from tests.support.databases import Databases

pytestmark = pytest.mark.integration

LONG = 2.5  # seconds; longer than a statement waits for a lock
NO_SSL = b"N"
DISK_FULL = b"SERROR\0C53100\0Mcould not write init file: No space left on device\0\0"


async def test_a_start_waits_for_its_turn_at_the_partitions(nats_url: str, platform_databases: Databases) -> None:
    """Whoever makes them slowly, as on a busy machine, ends nobody else's start."""
    url = platform_databases.services["billing"]
    settings = Settings.model_validate({"bus": {"url": nats_url}, "database": {"url": url}, "http": {"port": 0}})
    foundation, other = Foundation("billing", settings), await asyncpg.connect(url)
    await other.execute("select pg_advisory_lock($1, hashtext('billing'))", LOCK)
    connecting = asyncio.create_task(patiently(foundation.connect))
    try:
        await asyncio.sleep(LONG)
        assert not connecting.done()
        await other.close()
        await connecting
    finally:
        await foundation.stop()


async def test_a_full_disk_is_a_database_that_is_away() -> None:
    """PostgreSQL refuses new sessions then: whoever starts asks again."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(8)  # whether it may be encrypted
        writer.write(NO_SSL)
        await reader.read(1024)
        writer.write(b"E" + (len(DISK_FULL) + 4).to_bytes(4) + DISK_FULL)
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        with pytest.raises(DatabaseUnavailable, match="No space left"):
            await require_schema(f"postgresql://me:secret@{host}:{port}/penstock", "billing")
