"""Faults of bus and database, each really made on real servers."""

import asyncio
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from penstock.platform.ports import LOOPBACK, free_ports
from penstock_common.contracts.catalogue import RemoveModel
from penstock_common.db.heads import code_head
from penstock_common.messaging.connect import apply_topology, connect_bus
from penstock_common.messaging.envelope import envelop
from penstock_common.topology import REMOVE_MODEL
from tests.support.databases import Databases, execute
from tests.support.doctor import Report, doctor

pytestmark = pytest.mark.integration


@pytest.fixture
def data(tmp_path: Path) -> str:
    """Nothing runs there."""
    return str(tmp_path / "data")


def with_password(url: str, password: str) -> str:
    """The same address, with another password."""
    parts = urlsplit(url)
    return parts._replace(netloc=f"{parts.username}:{password}@{parts.netloc.rpartition('@')[2]}").geturl()


def unshown(report: Report, secret: str) -> bool:
    """Whether a password is in no line of the report."""
    return secret not in str(report.findings)


def test_a_bus_that_answers_is_fine(bus_url: str, data: str) -> None:
    """What a platform needs there is made by penstock up."""
    report = doctor("--data", data, "--bus", bus_url)
    assert (report.code, report.of("bus")["level"], report.wrong) == (0, "ok", {})


def test_a_bus_that_refuses_the_password_is_found(bus_url: str, data: str) -> None:
    """It is no outage, and the password is not shown."""
    report = doctor("--data", data, "--bus", with_password(bus_url, "not-the-password"))
    assert report.names("bus", "refuses this user or password", urlsplit(bus_url).netloc.rpartition("@")[2])
    assert unshown(report, "not-the-password")


@pytest.mark.parametrize("scheme", ["nats", "amqp"])
def test_a_bus_that_is_away_is_found(scheme: str, data: str) -> None:
    """At its address, and soon."""
    (port,) = free_ports(1)
    began = time.monotonic()
    report = doctor("--data", data, "--bus", f"{scheme}://me:hidden@{LOOPBACK}:{port}")
    assert time.monotonic() - began < 15
    assert report.names("bus", "can't be reached", f":{port}")
    assert unshown(report, "hidden")


@pytest.mark.parametrize(("option", "check"), [("--bus", "bus"), ("--database", "database")])
def test_what_is_no_address_is_found(option: str, check: str, data: str) -> None:
    """Another system's."""
    assert doctor("--data", data, option, "kafka://broker:9092").names(check, "no address of", "kafka://broker:9092")


def test_a_database_that_answers_is_fine(postgres_database: str, data: str) -> None:
    """An empty one is ready for penstock up."""
    report = doctor("--data", data, "--database", postgres_database)
    assert (report.code, report.of("database")["level"], report.of("schema")["level"]) == (0, "ok", "skipped")


def test_a_migrated_database_is_fine(platform_databases: Databases, data: str) -> None:
    """Nothing to report."""
    report = doctor("--data", data, "--database", platform_databases.admin)
    assert {f["check"]: f["level"] for f in report.findings if f["check"] in {"database", "schema", "clock"}} == {
        "database": "ok",
        "schema": "ok",
        "clock": "ok",
    }


def test_a_database_that_refuses_the_password_is_found(platform_databases: Databases, data: str) -> None:
    """It is no outage, and the password is not shown."""
    url = with_password(platform_databases.services["api"], "not-the-password")
    report = doctor("--data", data, "--database", url)
    assert report.names("database", "refuses this user or password", "penstock_api@")
    assert unshown(report, "not-the-password")


def test_a_database_that_is_away_is_found(data: str) -> None:
    """At its address."""
    (port,) = free_ports(1)
    report = doctor("--data", data, "--database", f"postgresql://me:hidden@{LOOPBACK}:{port}/penstock")
    assert report.names("database", "can't be reached", f":{port}/penstock")
    assert unshown(report, "hidden")


def test_a_database_that_does_not_exist_is_found(postgres_database: str, data: str) -> None:
    """The server is there, its database is not."""
    report = doctor("--data", data, "--database", f"{postgres_database}x")
    assert report.names("database", "does not exist", "test_")
    assert "create that database" in report.of("database")["mend"]


async def test_a_schema_that_is_behind_is_found(platform_databases: Databases, data: str) -> None:
    """By service, with both revisions."""
    await execute(platform_databases.admin, "update billing.alembic_version set version_num = '0000'")
    report = await asyncio.to_thread(doctor, "--data", data, "--database", platform_databases.admin)
    assert report.names("schema", f"behind: billing is at 0000 of {code_head('billing')}", "test_")
    assert "penstock migrate" in report.of("schema")["mend"]


async def test_a_schema_that_is_ahead_is_told(platform_databases: Databases, data: str) -> None:
    """Older code runs on it, so it is a warning."""
    await execute(platform_databases.admin, "update billing.alembic_version set version_num = '9999'")
    report = await asyncio.to_thread(doctor, "--data", data, "--database", platform_databases.admin)
    assert (report.code, report.of("schema")["level"]) == (0, "warn")
    assert "billing is at 9999" in report.of("schema")["problem"]


@pytest.mark.parametrize(
    ("shift", "level", "words"), [("1 minute", "fail", "60.0 s ahead of"), ("-2 seconds", "warn", "2.0 s behind")]
)
async def test_a_clock_that_differs_is_found(
    postgres_database: str, data: str, shift: str, level: str, words: str
) -> None:
    """The server itself says another time than this machine does."""
    name = urlsplit(postgres_database).path[1:]
    await execute(
        postgres_database,
        "create function public.clock_timestamp() returns timestamptz language sql "
        f"as $$ select pg_catalog.clock_timestamp() + interval '{shift}' $$",
        f"alter database {name} set search_path = public, pg_catalog",
    )
    report = await asyncio.to_thread(doctor, "--data", data, "--database", postgres_database)
    found = report.of("clock")
    assert (found["level"], words in found["problem"], "NTP" in found["mend"]) == (level, True, True), found
    assert report.code == (1 if level == "fail" else 0)


def elsewhere(bus_url: str, databases: Databases) -> dict[str, str]:
    """The environment that names a platform whose API is away."""
    (port,) = free_ports(1)
    return {
        "PENSTOCK_URL": f"http://{LOOPBACK}:{port}",
        "PENSTOCK_KEY": "psk-user",
        "PENSTOCK_ADMIN_KEY": "psk-admin",
        "PENSTOCK_BUS_URL": bus_url,
        "PENSTOCK_DATABASE_URL": databases.admin,
        "PENSTOCK_AUDIT_URL": databases.audit,
    }


async def test_a_bus_without_its_topology_is_found(bus_url: str, platform_databases: Databases) -> None:
    """What a platform that runs misses there is said, and how to make it."""
    environment = elsewhere(bus_url, platform_databases)
    report = await asyncio.to_thread(lambda: doctor(**environment))
    assert report.names("topology", "not as this version declares it: create", urlsplit(bus_url).hostname or "")
    assert "penstock topology apply" in report.of("topology")["mend"]


async def test_a_consumer_that_nobody_serves_is_found(bus_url: str, platform_databases: Databases) -> None:
    """Messages wait, and no process receives them; other consumers are fine, and so is the topology."""
    await apply_topology(bus_url)
    bus = await connect_bus(bus_url, "test")
    environment = elsewhere(bus_url, platform_databases)
    try:
        before = await asyncio.to_thread(lambda: doctor(**environment))
        for name in ("one", "two"):
            await bus.publish(envelop(RemoveModel(name=name), REMOVE_MODEL, source="api"))
        report = await asyncio.to_thread(lambda: doctor(**environment))
    finally:
        await bus.close()
    assert set(before.wrong) == {"api"}
    assert set(report.wrong) == {"api", "consumers"}
    assert report.names("consumers", "2 message(s) wait, and no process receives them", "inference-remove-model")
    assert len([f for f in report.findings if f["check"] == "consumers"]) == 1
