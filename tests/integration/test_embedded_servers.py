"""The embedded servers: what they promise, and what killing them must not break."""

import os
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import nats
import nats.errors
import pytest

from penstock.platform.leftovers import family, marks_of
from penstock.platform.postgres import PostgresServer
from tests.support.databases import Databases, execute
from tests.support.servers import Server, nats_server, postgres_server, rabbitmq_server

pytestmark = pytest.mark.integration

Start = Callable[[Server], Server]


async def value_of(url: str, statement: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


def cluster(server: Server) -> PostgresServer:
    assert isinstance(server.kind, PostgresServer)
    return server.kind


async def write(url: str) -> None:
    await execute(url, "create table kept as select 42 as n")


async def test_postgres_flushes_and_asks_for_a_password(private_server: Start) -> None:
    """fsync is on, only loopback is served, a wrong password is refused."""
    url = cluster(private_server(postgres_server())).maintenance_url
    assert await value_of(url, "show fsync") == "on"
    assert await value_of(url, "show synchronous_commit") == "on"
    assert await value_of(url, "show listen_addresses") == "127.0.0.1"
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(url.replace("secret", "guess"))


async def test_postgres_starts_after_kill_of_everything(private_server: Start) -> None:
    """kill -9 of the server and its children loses no committed row, on the same port."""
    server = private_server(postgres_server())
    url = cluster(server).maintenance_url
    await write(url)
    server.kill()
    server.start()
    assert await value_of(url, "select n from kept") == 42


async def test_postgres_orphans_end_before_the_next_start(private_server: Start) -> None:
    """Children that outlive their killed postmaster would corrupt the cluster: the next start waits for them."""
    server = private_server(postgres_server())
    await write(cluster(server).maintenance_url)
    frozen = family(server.pid)[-1]
    os.kill(frozen, 19)
    os.kill(server.pid, 9)
    server.start()
    assert frozen not in family(server.pid)
    assert await value_of(cluster(server).maintenance_url, "select n from kept") == 42


async def test_postgres_ignores_a_pid_file_whose_pid_is_another_process_now(private_server: Start) -> None:
    """After kill -9 the pid in postmaster.pid may belong to anybody, even to the same user."""
    server = private_server(postgres_server())
    server.kill()
    pid_file = cluster(server).home / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    pid_file.write_text("\n".join([str(os.getpid()), *lines[1:]]))
    server.start()
    assert await value_of(cluster(server).maintenance_url, "select 1") == 1


async def test_interrupted_initdb_is_done_again(private_server: Start) -> None:
    """Half a cluster in the scratch folder is not taken for a whole one."""
    server = postgres_server()
    scratch = cluster(server).home.with_name("server.new")
    scratch.mkdir()
    (scratch / "PG_VERSION").write_text("18\n")
    private_server(server)
    assert await value_of(cluster(server).maintenance_url, "select 1") == 1


async def test_postgres_does_not_run_as_root(private_server: Start) -> None:
    """Whoever starts it, its processes belong to an ordinary user."""
    server = private_server(postgres_server())
    assert Path(f"/proc/{server.pid}").stat().st_uid != 0


async def test_nats_keeps_stored_messages_over_kill(private_server: Start) -> None:
    """What JetStream acknowledged is there after kill -9 and a restart on the same port."""
    server = private_server(nats_server())
    client = await nats.connect(server.url)
    stream = client.jetstream()
    await stream.add_stream(name="KEPT", subjects=["kept"])
    await stream.publish("kept", b"hello")
    await client.close()
    server.kill()
    server.start()
    client = await nats.connect(server.url)
    message = await client.jetstream().get_msg("KEPT", 1)
    await client.close()
    assert message.data == b"hello"


async def test_nats_refuses_strangers_and_carries_large_messages(nats_url: str) -> None:
    """A password is needed, and 8 MB pass."""
    parts = urlsplit(nats_url)
    with pytest.raises(nats.errors.Error):
        await nats.connect(f"nats://{parts.hostname}:{parts.port}", allow_reconnect=False)
    client = await nats.connect(nats_url)
    assert client.max_payload >= 8 * 1024 * 1024
    await client.close()


async def test_each_service_sees_its_own_schema_only(platform_databases: Databases) -> None:
    """A role reads and writes its own schema; another's is out of reach."""
    await execute(platform_databases.services["billing"], "create table billing.own as select 7 as n")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await value_of(platform_databases.services["api"], "select n from billing.own")


async def test_audit_reads_all_schemas_and_writes_none(platform_databases: Databases) -> None:
    """`reconcile` reads through a role that can't change what it compares."""
    for service, url in platform_databases.services.items():
        await execute(url, f"create table {service}.later as select 7 as n")
        assert await value_of(platform_databases.audit, f"select n from {service}.later") == 7
    with pytest.raises((asyncpg.InsufficientPrivilegeError, asyncpg.ReadOnlySQLTransactionError)):
        await execute(platform_databases.audit, "delete from billing.later")


async def test_rabbitmq_returns_on_the_same_port(private_server: Start) -> None:
    """The broker of the tests survives being killed, and takes its name server with it."""
    server = private_server(rabbitmq_server())
    members = list(marks_of(family(server.pid)))
    server.kill()
    assert len(members) > 2
    assert not any(mark.is_alive() for mark in members)
    server.start()
