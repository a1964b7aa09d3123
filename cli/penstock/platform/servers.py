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
    if not bus:
        nats = embedded_bus(folder)
        embedded, bus = [nats], nats.url
    if database:
        everywhere = dict.fromkeys(SERVICES, database)
        given = Addresses(bus=bus, database=database, audit_database=database, databases=everywhere)
        return given, embedded
    (sql,) = free_ports(1)
    postgres = PostgresServer(folder.root / "postgres", passwords["admin"], sql, server_account(), _room_for(many))
    return _own(bus, postgres, passwords), [*embedded, postgres]


def embedded_bus(folder: DataFolder) -> NatsServer:
    """The bus that the platform runs itself, on ports that are free now."""
    client, monitor = free_ports(2)
    return NatsServer(folder.root / "nats", load_passwords(folder)["nats"], client, monitor)


def check_bus(option: str, url: str) -> None:
    """Raise PlatformError for what can't be the address of a bus."""
    _check(option, url, BUS_SCHEMES)


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
    """PostgreSQL's settings for so many services' processes (5 in the pool, some at a start) and a few commands.

    Twice as many: while the platform moves to another bus there are two of each.
    """
    return (("max_connections", str(max(100, 16 * processes + 40))),)


def _check(option: str, url: str | None, schemes: tuple[str, ...]) -> None:
    if url and not url.startswith(schemes):
        raise PlatformError(f"{option} {url} is not an address for it; it begins with {' or '.join(schemes)}.")
