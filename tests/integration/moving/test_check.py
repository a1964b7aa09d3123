"""`penstock bus migrate --check`: each thing that stands in the way of a move is named, with what to do."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from typer.testing import CliRunner, Result

from penstock.main import app
from penstock.moving.check import Plan, check
from penstock.moving.trial import Server
from penstock_common.contracts.catalogue import RemoveModel
from penstock_common.messaging.connect import apply_topology, connect_bus, diff_topology
from penstock_common.messaging.envelope import envelop
from penstock_common.topology import PLATFORM
from tests.support.databases import Databases

pytestmark = pytest.mark.integration


@pytest.fixture(params=["to RabbitMQ", "to NATS"])
async def plan(request: pytest.FixtureRequest, nats_url: str, rabbitmq_url: str, platform_databases: Databases) -> Plan:
    """A move that nothing stands in the way of."""
    source, target = (nats_url, rabbitmq_url) if request.param == "to RabbitMQ" else (rabbitmq_url, nats_url)
    return Plan(source, target, platform_databases.audit, 6)


async def problems(plan: Plan) -> dict[str, str]:
    """What to do, by what stands in the way."""
    return {finding.what: finding.mend for finding in await check(plan) if finding.mend}


async def test_a_bus_that_is_fit_is_left_as_it_was(plan: Plan) -> None:
    """All is looked at; what was tried out is gone."""
    lacking = await diff_topology(plan.target)
    found = await check(plan)
    assert [f.mend for f in found] == [""] * 6
    assert [f.what for f in found][2:5] == ["largest message", "topics and consumers", "messages there"]
    assert await diff_topology(plan.target) == lacking


async def test_one_bus_is_no_other(plan: Plan) -> None:
    """By whatever address it is called: two crews on it would take each other's messages."""
    parts = urlsplit(plan.source)
    alias = parts._replace(netloc=parts.netloc.replace("127.0.0.1", "localhost")).geturl()
    assert await problems(replace(plan, target=alias)) == {"new bus": "name another one"}


async def test_what_can_not_be_used_is_said(plan: Plan) -> None:
    """Nobody there, a wrong password, too few connections."""
    parts = urlsplit(plan.target)
    nobody = parts._replace(netloc=f"{parts.netloc.rpartition(':')[0]}:1").geturl()
    stranger = parts._replace(netloc=f"stranger:wrong@{parts.netloc.rpartition('@')[2]}").geturl()
    assert set(await problems(replace(plan, target=nobody))) == {"new bus"}
    assert "correct them" in (await problems(replace(plan, target=stranger)))["new bus"]
    assert "a second crew needs" in (await problems(replace(plan, processes=10_000)))["database"]
    assert set(await problems(replace(plan, source=nobody, target=""))) == {"bus in use"}


async def test_messages_of_another_platform_stand_in_the_way(plan: Plan) -> None:
    """Unless a move there was begun: then they are our own."""
    await apply_topology(plan.target, tell=False)
    bus = await connect_bus(plan.target, "trial")
    await bus.publish(envelop(RemoveModel(name="any"), PLATFORM.topic(RemoveModel)))
    await bus.close()
    assert "another platform" in (await problems(plan))["messages there"]
    assert await problems(replace(plan, goes_on=True)) == {}


@pytest.mark.parametrize(
    ("kind", "version", "is_old"),
    [("NATS", "2.10.0", False), ("NATS", "2.9.25", True), ("NATS", "3.0.0-beta.1", False), ("RabbitMQ", "3.9.1", True)],
)
def test_a_version_that_lacks_something_is_old(kind: str, version: str, is_old: bool) -> None:
    """By its first two numbers."""
    assert Server(kind, version, 1).is_old is is_old


def penstock(*arguments: str) -> Result:
    """Run the command line in this process."""
    return CliRunner().invoke(app, arguments)


async def test_the_command_tells_and_does_nothing(plan: Plan, tmp_path: Path) -> None:
    """Of a platform elsewhere it tells whether; to move one it has to be this machine's."""
    places = ("--bus", plan.source, "--to", plan.target, "--database", plan.database)
    given = ("bus", "migrate", *places, "--data", str(tmp_path))
    told = json.loads((await asyncio.to_thread(penstock, *given, "--check", "--dry-run", "--json")).stdout)
    assert (told["able"], told["moved"], len(told["steps"])) == (True, False, 6)
    assert (await asyncio.to_thread(penstock, *given)).exit_code == 1
