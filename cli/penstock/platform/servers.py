"""Which servers this platform uses: embedded ones, or those that the operator names."""

from collections.abc import Mapping
from dataclasses import dataclass

from penstock.platform.account import server_account
from penstock.platform.credentials import SERVICES, load_passwords
from penstock.platform.database import role_of
from penstock.platform.errors import PlatformError
from penstock.platform.folder import DataFolder
from penstock.platform.nats import NatsServer
from penstock.platform.ports import free_ports
from penstock.platform.postgres import PostgresServer

BUS_SCHEMES = ("nats://", "tls://", "amqp://", "amqps://")
DATABASE_SCHEMES = ("postgresql://", "postgres://")

Server = NatsServer | PostgresServer


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """Where the platform's bus and databases are, with the passwords to enter."""

    bus: str
    database: str
    audit_database: str
    databases: Mapping[str, str]
    """URL by service."""
    passwords: Mapping[str, str] | None = None
    """By database role, where the roles are ours to make."""
    maintenance: str | None = None
    """A database of the same server that exists before ours does."""


def plan(folder: DataFolder, bus: str | None, database: str | None, many: int) -> tuple[Addresses, list[Server]]:
    """Addresses, and the servers to start for them, of which `many` processes are clients.

    Raises PlatformError for an address that can't be one.
    """
    _check("--bus", bus, BUS_SCHEMES)
    _check("--database", database, DATABASE_SCHEMES)
    embedded: list[Server] = []
    passwords = {} if bus and database else load_passwords(folder)
    client, monitor, sql = free_ports(3)
    if not bus:
        nats = NatsServer(folder.root / "nats", passwords["nats"], client, monitor)
        embedded, bus = [nats], nats.url
    if database:
        everywhere = dict.fromkeys(SERVICES, database)
        given = Addresses(bus=bus, database=database, audit_database=database, databases=everywhere)
        return given, embedded
    postgres = PostgresServer(folder.root / "postgres", passwords["admin"], sql, server_account(), _room_for(many))
    return _own(bus, postgres, passwords), [*embedded, postgres]


def _own(bus: str, postgres: PostgresServer, passwords: Mapping[str, str]) -> Addresses:
    return Addresses(
        bus=bus,
        database=postgres.url,
        audit_database=postgres.url_of(role_of("audit"), passwords["audit"]),
        databases={name: postgres.url_of(role_of(name), passwords[name]) for name in SERVICES},
        passwords=passwords,
        maintenance=postgres.maintenance_url,
    )


def _room_for(processes: int) -> tuple[tuple[str, str], ...]:
    """PostgreSQL's settings for so many services' processes (5 in the pool, some at a start) and a few commands."""
    return (("max_connections", str(max(100, 8 * processes + 40))),)


def _check(option: str, url: str | None, schemes: tuple[str, ...]) -> None:
    if url and not url.startswith(schemes):
        raise PlatformError(f"{option} {url} is not an address for it; it begins with {' or '.join(schemes)}.")
