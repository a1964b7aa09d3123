"""`penstock migrate`, `topology` and `usage` as an operator calls them, on real servers."""

import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import asyncpg
import pytest
from typer.testing import CliRunner, Result

from penstock.main import app
from penstock.migrating import migrate
from penstock.platform.credentials import SERVICES
from penstock.platform.errors import NotRunning, PlatformError
from penstock_common.db.heads import code_head, current_heads
from penstock_common.topology import PLATFORM

pytestmark = pytest.mark.integration


def penstock(*arguments: str) -> Result:
    """Run the command line in this process."""
    return CliRunner().invoke(app, arguments)


def test_migrate_brings_every_schema_to_the_code(postgres_database: str) -> None:
    """The second time there is nothing to do."""
    first, second = (penstock("migrate", "--database", postgres_database) for _ in range(2))
    heads = {service: code_head(service) for service in SERVICES}
    assert first.output == "".join(f"{s} went from nothing to {head}\n" for s, head in heads.items())
    assert second.output == "".join(f"{s} is at {head}\n" for s, head in heads.items())


async def test_migrations_at_once_take_turns(postgres_database: str) -> None:
    """Neither process fails, and the tables are there once."""
    command = (sys.executable, "-m", "penstock.main", "migrate", "--database", postgres_database)
    both = [await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.DEVNULL) for _ in range(2)]
    assert await asyncio.gather(*(process.wait() for process in both)) == [0, 0]
    assert await current_heads(postgres_database, SERVICES) == {s: code_head(s) for s in SERVICES}


async def test_a_role_without_the_right_to_make_schemas_can_migrate_its_own(postgres_database: str) -> None:
    """Where an administrator made the schema."""
    connection = await asyncpg.connect(postgres_database)
    await connection.execute("create role bounded login password 'x'")
    try:
        await connection.execute("create schema billing authorization bounded")
        url = postgres_database.replace(postgres_database.split("//")[1].split("@", maxsplit=1)[0], "bounded:x")
        assert [str(step) for step in await migrate({"billing": url})] == [
            f"billing went from nothing to {code_head('billing')}"
        ]
    finally:
        await connection.execute("drop owned by bounded cascade")
        await connection.execute("drop role bounded")
        await connection.close()


def test_what_is_no_database_is_said() -> None:
    """In one sentence, not in a traceback."""
    result = penstock("migrate", "--database", "mysql://x")
    assert isinstance(result.exception, PlatformError)
    assert "begins with postgresql://" in str(result.exception)


def test_topology_is_shown_without_a_server() -> None:
    """Every stream, topic and lane, for people and for scripts."""
    shown = json.loads(penstock("topology", "show", "--json").output)
    assert [t["subject"] for t in shown["topics"]] == [t.subject for t in PLATFORM.topics]
    assert {c["name"] for c in shown["consumers"]} == {lane.name for lane in PLATFORM.lanes}
    assert "billing-on-generation-completed" in penstock("topology", "show").output


def test_topology_is_applied_once(nats_url: str) -> None:
    """diff says what apply does, then nothing."""
    changes = topology("diff", nats_url, expected=1)
    assert topology("apply", nats_url) == changes != []
    assert topology("diff", nats_url) == topology("apply", nats_url) == []


def topology(command: str, url: str, expected: int = 0) -> Sequence[str]:
    """The changes that a command names."""
    result = penstock("topology", command, "--bus", url, "--json")
    assert result.exit_code == expected, result.output
    changes: list[str] = json.loads(result.output)["changes"]
    return changes


def test_what_is_no_bus_is_said() -> None:
    """In one sentence, not in a traceback."""
    result = penstock("topology", "apply", "--bus", "kafka://x")
    assert isinstance(result.exception, PlatformError)
    assert "begins with nats:// or amqp://" in str(result.exception)


@pytest.mark.parametrize("command", ["usage", "migrate", "topology diff"])
def test_without_a_platform_the_command_says_so(tmp_path: Path, command: str) -> None:
    """Exit code 3, and how to start one."""
    result = penstock(*command.split(), "--data", str(tmp_path))
    assert isinstance(result.exception, NotRunning)
    assert "make up" in str(result.exception)
    assert result.exception.exit_status == 3
