"""The services' roles and schemas, made on a server of one's own with passwords from the environment."""

import os
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

import asyncpg

from penstock.platform.credentials import SERVICES
from penstock.platform.database import role_statements, schema_statements
from penstock.platform.errors import PlatformError

PASSWORD = "PENSTOCK_PASSWORD_{}"  # noqa: S105 (the name of a variable)
PLAIN_PASSWORD = re.compile(r"[A-Za-z0-9_.~-]{8,128}")  # nothing that SQL or a URL would have to quote
PLAIN_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")
CONNECT_SECONDS = 5.0


def named_passwords(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Password by service, and for `audit`. Raises PlatformError with the variables that are missing or unusable."""
    names = {account: PASSWORD.format(account.upper()) for account in (*SERVICES, "audit")}
    if wrong := [name for name in names.values() if not PLAIN_PASSWORD.fullmatch(environment.get(name, ""))]:
        raise PlatformError(
            "The roles' passwords come from the environment, as 8 to 128 letters, digits and _ . ~ - each; "
            f"missing or unusable: {', '.join(wrong)}."
        )
    return {account: environment[name] for account, name in names.items()}


async def make_roles(admin: str, passwords: Mapping[str, str]) -> None:
    """Bring roles, schemas and rights to what they must be, as a superuser. Raises PlatformError where it can't."""
    database = urlsplit(admin).path.removeprefix("/")
    if not PLAIN_NAME.fullmatch(database):
        raise PlatformError(f"The database's address has to end in its name in lower case, not in {database!r}.")
    try:
        await _execute(admin, [*role_statements(passwords), *schema_statements(database)])
    except (OSError, TimeoutError, ValueError, asyncpg.PostgresError) as error:
        raise PlatformError(f"The roles can't be made: {error or type(error).__name__}.") from error


async def _execute(url: str, statements: list[str]) -> None:
    connection = await asyncpg.connect(url, timeout=CONNECT_SECONDS)
    try:
        async with connection.transaction():
            await connection.execute(";".join(statements))
    finally:
        await connection.close()
