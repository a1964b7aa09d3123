"""API keys in several processes at once, on a real PostgreSQL and a real bus."""

import asyncio
import time
from datetime import UTC, datetime, timedelta

import pytest

from penstock_api.adapters.local_keys import ADMIN_KEY, USER_KEY
from penstock_api.app import App
from penstock_api.domain.key_errors import KeyExpired, KeyRevoked, KeyUnknown
from penstock_api.domain.keys import DEFAULT_PROJECT, Key, secret_of
from penstock_api.ports.keys import NewKey
from penstock_common.errors import DatabaseUnavailable
from penstock_common.messaging.connect import apply_topology
from tests.conftest import Start
from tests.support import servers
from tests.support.api import ADMIN, USER, api_process, bearer, prepare
from tests.support.databases import beside

SOON = 1.0  # seconds within which a broadcast is heard everywhere
AT_LAST = 5.0  # seconds within which a change is read where no broadcast was heard


def wanted(expires_at: datetime | None = None) -> NewKey:
    return NewKey(DEFAULT_PROJECT, "a test", ["chat"], expires_at)


def authenticated(process: App, secret: str) -> Key:
    return process.keys.authenticate(bearer(secret)["authorization"])


def accepts(process: App, secret: str) -> bool:
    try:
        authenticated(process, secret)
    except (KeyUnknown, KeyRevoked):
        return False
    return True


async def seconds_until(process: App, secret: str, *, accepted: bool, at_most: float) -> float:
    """How long it takes until the process accepts, or no longer accepts, a secret."""
    since = time.monotonic()
    while accepts(process, secret) is not accepted:
        waited = time.monotonic() - since
        assert waited < at_most, f"accepted is still {not accepted} after {waited:.1f} s"
        await asyncio.sleep(0.01)
    return time.monotonic() - since


async def test_other_processes_hear_of_keys_within_a_second(postgres_database: str, nats_url: str) -> None:
    """A key made, and then revoked, by one process is known to another in less than a second."""
    await prepare(postgres_database, nats_url)
    async with api_process(postgres_database, nats_url) as one, api_process(postgres_database, nats_url) as other:
        key, secret = await one.keys.create(wanted())
        assert accepts(one, secret)
        await seconds_until(other, secret, accepted=True, at_most=SOON)
        await one.keys.revoke(DEFAULT_PROJECT, key.id)
        assert not accepts(one, secret)
        await seconds_until(other, secret, accepted=False, at_most=SOON)


async def test_a_revocation_is_read_where_the_bus_is_away(
    postgres_database: str, nats_url: str, private_server: Start
) -> None:
    """A process whose bus is gone refuses a revoked key within five seconds, and serves its other keys meanwhile."""
    away = private_server(servers.nats_server())
    await apply_topology(away.url)
    await prepare(postgres_database, nats_url)
    async with api_process(postgres_database, nats_url) as one, api_process(postgres_database, away.url) as cut_off:
        key, secret = await one.keys.create(wanted())
        await seconds_until(cut_off, secret, accepted=True, at_most=AT_LAST)
        away.kill()
        await one.keys.revoke(DEFAULT_PROJECT, key.id)
        await seconds_until(cut_off, secret, accepted=False, at_most=AT_LAST)
        assert accepts(cut_off, USER)


async def test_keys_are_known_while_postgresql_is_away(nats_url: str, private_server: Start) -> None:
    """Authentication needs no database; making a key says that it is away; use is written once it is back."""
    database = private_server(servers.postgres_server())
    url = beside(database.url, "postgres")
    await prepare(url, nats_url)
    async with api_process(url, nats_url) as process:
        await asyncio.to_thread(database.kill)
        assert authenticated(process, USER).id == USER_KEY
        with pytest.raises(DatabaseUnavailable):
            await process.keys.create(wanted())
        with pytest.raises(DatabaseUnavailable):
            await process.keys.flush()
        await asyncio.to_thread(database.start)
        await process.keys.flush()
        assert await last_use(process) is not None


async def last_use(process: App) -> datetime | None:
    key = await process.key_table.find(DEFAULT_PROJECT, USER_KEY)
    assert key
    return key.last_used_at


async def test_local_keys_survive_restarts_and_revocation(postgres_database: str, nats_url: str) -> None:
    """A start repeats harmlessly, leaves a revocation alone, and takes a new hash of a local key."""
    await prepare(postgres_database, nats_url)
    async with api_process(postgres_database, nats_url) as process:
        assert authenticated(process, ADMIN).id == ADMIN_KEY
        await process.keys.revoke(DEFAULT_PROJECT, ADMIN_KEY)
    async with api_process(postgres_database, nats_url) as again:
        assert len(await again.keys.of(DEFAULT_PROJECT)) == 2
        assert not accepts(again, ADMIN)
        renewed = secret_of(b"r" * 32)
        async with api_process(postgres_database, nats_url, admin=renewed) as renewing:
            assert accepts(renewing, renewed)
            await again.keys.refresh()
            assert accepts(again, renewed)
            with pytest.raises(KeyUnknown):
                authenticated(again, ADMIN)


async def test_a_key_expires_by_itself(postgres_database: str, nats_url: str) -> None:
    """Nobody needs to tell a process that a key's time is over."""
    await prepare(postgres_database, nats_url)
    async with api_process(postgres_database, nats_url) as process:
        _, secret = await process.keys.create(wanted(datetime.now(UTC) + timedelta(seconds=0.4)))
        assert accepts(process, secret)
        await asyncio.sleep(0.5)
        with pytest.raises(KeyExpired, match="expired at"):
            authenticated(process, secret)


async def test_a_change_that_commits_late_is_read(postgres_database: str, nats_url: str) -> None:
    """Two changes at once get their versions in the order of their commits, so that no reader skips one."""
    await prepare(postgres_database, nats_url)
    async with api_process(postgres_database, nats_url) as process:
        async with process.database.transaction() as slow:
            await slow.connection.exec_driver_sql("update api.keys set revoked_at = now() where id = $1", (USER_KEY,))
            fast = asyncio.create_task(process.keys.create(wanted()))
            await asyncio.sleep(0.2)
            await process.keys.refresh()
            assert accepts(process, USER)
        _, secret = await fast
        await process.keys.refresh()
        assert accepts(process, secret)
        assert not accepts(process, USER)


async def test_a_secret_is_stored_nowhere(postgres_database: str, nats_url: str) -> None:
    """Tables and messages hold the hash, the prefix and ids; the secret is in the answer alone."""
    await prepare(postgres_database, nats_url)
    async with api_process(postgres_database, nats_url) as process:
        key, secret = await process.keys.create(wanted())
        assert key.prefix == secret[:12]
        async with process.database.reading() as connection:
            dump = await connection.exec_driver_sql(
                "select k::text from api.keys k union all select convert_from(body, 'UTF8') from api.outbox"
            )
            everything = "\n".join(dump.scalars())
    assert key.prefix in everything
    assert secret not in everything
    assert secret[12:] not in everything
