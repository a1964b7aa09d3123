"""`penstock migrate --roles`: each service enters a server of one's own by its own role, and no further."""

import asyncio
from urllib.parse import urlsplit

import asyncpg
import pytest
from typer.testing import CliRunner

from penstock.main import app
from penstock.migrating import as_role
from penstock.platform.credentials import SERVICES
from penstock.platform.database import role_of
from penstock.platform.errors import PlatformError
from penstock.roles import PASSWORD, named_passwords
from tests.conftest import Start
from tests.support.databases import execute
from tests.support.servers import postgres_server

ACCOUNTS = (*SERVICES, "audit")
PASSWORDS = {PASSWORD.format(account.upper()): f"{account}-of-a-test" for account in ACCOUNTS}


@pytest.mark.integration
def test_roles_are_made_once_and_own_their_schemas_only(private_server: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second run changes nothing; a service can't read its neighbour; audit reads all and writes nothing."""
    admin = urlsplit(private_server(postgres_server()).url)._replace(path="/postgres").geturl()
    for name, value in PASSWORDS.items():
        monkeypatch.setenv(name, value)
    first, second = (CliRunner().invoke(app, ["migrate", "--roles", "--database", admin]) for _ in range(2))
    assert first.output.count("went from nothing to") == len(SERVICES), first.output
    assert "went from" not in second.output
    asyncio.run(check_rights({a: as_role(admin, role_of(a), f"{a}-of-a-test") for a in ACCOUNTS}))


async def check_rights(entered: dict[str, str]) -> None:
    """Use what the roles may, and try what they may not."""
    await execute(entered["billing"], "select * from billing.outbox")
    await execute(entered["audit"], "select * from billing.outbox", "select * from api.outbox")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await execute(entered["billing"], "select * from api.outbox")
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        await execute(entered["audit"], "create table x ()")


@pytest.mark.parametrize("value", ["", "short", "it's quoted", "with/slash1", "x" * 129])
def test_password_that_needs_quoting_is_refused_by_name(value: str) -> None:
    """It would end up in a statement and in an address."""
    with pytest.raises(PlatformError, match=r"missing or unusable: PENSTOCK_PASSWORD_AUDIT\.$"):
        named_passwords(PASSWORDS | {"PENSTOCK_PASSWORD_AUDIT": value})


@pytest.mark.parametrize(
    ("database", "said"),
    [
        ("postgresql://x:y@127.0.0.1:1/penstock", "The roles can't be made: "),
        ("postgresql://x:y@127.0.0.1:1/drop table", "has to end in its name"),
        ("postgresql://x:y@127.0.0.1:1", "has to end in its name"),
    ],
)
def test_server_that_is_none_is_said(database: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one sentence."""
    for name, password in PASSWORDS.items():
        monkeypatch.setenv(name, password)
    refused = CliRunner().invoke(app, ["migrate", "--roles", "--database", database])
    assert isinstance(refused.exception, PlatformError)
    assert said in str(refused.exception)
