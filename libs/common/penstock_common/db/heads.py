"""Where a database's schemas stand and where the code is: one query, without loading the tools that migrate."""

from importlib.resources import files

import asyncpg

from penstock_common.errors import DatabaseUnavailable, SchemaMissing

CONNECT_SECONDS = 5.0
AWAY = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
)
"""What says that a database can't be asked now: gone, starting, stopping, or out of connections, memory or disk."""
SCHEMES = ("postgresql://", "postgres://")


def code_head(service: str) -> str:
    """The newest revision in the code: revisions are the numbers that their file names begin with."""
    versions = files(f"penstock_{service}.migrations").joinpath("versions")
    return max(entry.name[:4] for entry in versions.iterdir() if entry.name[:4].isdigit())


async def current_heads(url: str, services: tuple[str, ...]) -> dict[str, str]:
    """Service → applied revision; a service never migrated is left out.

    Raises DatabaseUnavailable where the database can't be asked, ValueError where the URL is not PostgreSQL's.
    """
    if not url.startswith(SCHEMES):
        raise ValueError("a database URL begins with postgresql://")
    try:
        connection = await asyncpg.connect(url, timeout=CONNECT_SECONDS)
        try:
            return await _read(connection, services)
        finally:
            await connection.close()
    except AWAY as error:
        raise DatabaseUnavailable(str(error)[:200]) from error


async def require_schema(url: str, service: str) -> None:
    """Raise SchemaMissing where a service's schema was never migrated, DatabaseUnavailable where it can't be asked."""
    if service not in await current_heads(url, (service,)):
        raise SchemaMissing


async def _read(connection: asyncpg.Connection, services: tuple[str, ...]) -> dict[str, str]:
    tables = "select table_schema from information_schema.tables where table_name = 'alembic_version'"
    known = [row["table_schema"] for row in await connection.fetch(tables) if row["table_schema"] in services]
    if not known:
        return {}
    union = " union all ".join(f"select '{s}' as service, version_num from {s}.alembic_version" for s in known)
    return {row["service"]: row["version_num"] for row in await connection.fetch(union)}
