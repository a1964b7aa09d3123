"""Databases for tests: thrown away after each, made from a migrated template where the services' tables are needed."""

import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from penstock.platform.credentials import ACCOUNTS, SERVICES
from penstock.platform.database import role_of, role_statements, schema_statements
from penstock_common.db.heads import code_head
from penstock_common.db.migrate import upgrade

LOCK = 0x7E57  # advisory lock of whoever makes the template
PASSWORDS = {account: f"{account}-of-a-test" for account in ACCOUNTS}


@dataclass(frozen=True, slots=True)
class Databases:
    """URLs of one database, by who enters it."""

    admin: str
    audit: str
    services: Mapping[str, str]


def beside(url: str, database: str, account: str | None = None) -> str:
    """The URL of another database of the same server, for one of the platform's roles or the same user."""
    parts = urlsplit(url)
    place = parts.netloc
    if account:
        place = f"{role_of(account)}:{PASSWORDS[account]}@{place.rpartition('@')[2]}"
    return urlunsplit((parts.scheme, place, f"/{database}", parts.query, ""))


async def execute(url: str, *statements: str) -> None:
    """Run statements one after another, outside of a transaction."""
    connection = await asyncpg.connect(url)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


@asynccontextmanager
async def temporary_database(server: str, template: str = "template1") -> AsyncIterator[str]:
    """A new database of the server at this URL, given as superuser's URL and dropped afterwards."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    await execute(server, f"create database {name} template {template}")
    try:
        yield beside(server, name)
    finally:
        await execute(server, f"drop database {name} with (force)")


@asynccontextmanager
async def temporary_platform(server: str) -> AsyncIterator[Databases]:
    """A new database with the roles, schemas and tables of all services."""
    async with temporary_database(server, await _template(server)) as admin:
        name = urlsplit(admin).path[1:]
        await execute(admin, *schema_statements(name))
        yield _databases(server, name)


@asynccontextmanager
async def copied(server: str, databases: Databases) -> AsyncIterator[Databases]:
    """A copy of a platform's database, to which nobody may be connected."""
    async with temporary_database(server, urlsplit(databases.admin).path[1:]) as admin:
        name = urlsplit(admin).path[1:]
        await execute(admin, *schema_statements(name))
        yield _databases(server, name)


def _databases(server: str, name: str) -> Databases:
    services = {service: beside(server, name, service) for service in SERVICES}
    return Databases(beside(server, name), beside(server, name, "audit"), services)


async def _template(server: str) -> str:
    """The migrated database of this code, made by the first who needs it. The name shows what is in it."""
    name = "platform_" + "_".join(code_head(service) for service in SERVICES)
    connection = await asyncpg.connect(server)
    try:
        await connection.execute(f"select pg_advisory_lock({LOCK})")
        if not await connection.fetchval("select 1 from pg_database where datname = $1", name):
            await _make(server, connection, f"{name}_new")
            await connection.execute(f"alter database {name}_new rename to {name}")
    finally:
        await connection.close()
    return name


async def _make(server: str, connection: asyncpg.Connection, name: str) -> None:
    await connection.execute(f"drop database if exists {name}")
    await connection.execute(f"create database {name}")
    made = _databases(server, name)
    await execute(made.admin, *role_statements(PASSWORDS), *schema_statements(name))
    for service in SERVICES:
        await upgrade(service, made.services[service])
