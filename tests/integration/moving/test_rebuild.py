"""`penstock bus rebuild`: the bus is given just what nobody handled, however old, and nothing else."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from typer.testing import CliRunner, Result

from penstock.main import app
from penstock.moving import rebuild as rebuilding
from penstock.moving.handled import Records
from penstock.moving.owed import Horizon, Tally
from penstock.moving.owed import owed as owed_by
from penstock.moving.rebuild import Rebuilt, rebuild, would_rebuild
from penstock_common.contracts.catalogue import CatalogueChanged, RemoveModel
from penstock_common.contracts.queueing import BatchText
from penstock_common.messaging.connect import make_inspector
from penstock_common.messaging.topology import DAY
from penstock_common.topology import COMMANDS, PLATFORM
from tests.contract.examples import example
from tests.integration.moving.outboxes import Outboxes
from tests.support.databases import Databases
from tests.support.emptied import delete_everything

pytestmark = pytest.mark.integration

CATALOGUE, REMOVE = "inference.catalogue.changed.v1", "cmd.inference.model.remove.v1"
API, BILLING, INFERENCE = "api-on-catalogue-changed", "billing-on-catalogue-changed", "inference-remove-model"
LONG = timedelta(seconds=COMMANDS.max_age + DAY)


@pytest.fixture
async def outboxes(platform_databases: Databases) -> AsyncIterator[Outboxes]:
    """Three changes of the catalogue and six commands, in every state that there is."""
    connection = await asyncpg.connect(platform_databases.admin)
    made = Outboxes(connection)
    done, half, _ = [await made.said("inference", CatalogueChanged(version=n, models=[])) for n in range(3)]
    await made.handled(API, done, half)
    await made.handled(BILLING, done)
    command = RemoveModel(name="any")
    await made.handled(INFERENCE, await made.said("api", command))
    await made.buried(INFERENCE, await made.said("api", command))
    await made.buried(INFERENCE, await made.said("api", command), "retried")
    await made.said("api", command, age=LONG)
    await made.said("api", command, relayed=False)
    yield made
    await connection.close()


async def waiting(bus: str) -> dict[str, int]:
    """Messages by lane that nobody was given yet, but for what is told of the rebuild and of the act."""
    lanes = (await make_inspector(bus).look(PLATFORM)).lanes
    told = {lane.name for lane in PLATFORM.upkeep.values()} | {"api-on-operator-acted"}
    return {name: state.waiting for name, state in lanes.items() if state.waiting and name not in told}


async def again(bus: str, databases: Databases, since: datetime | None = None) -> Rebuilt:
    """A rebuild."""
    return await rebuild(bus, databases.audit, since, lambda: None)


async def test_a_dry_run_counts_and_changes_nothing(
    outboxes: Outboxes, platform_databases: Databases, nats_url: str
) -> None:
    """By topic: what was said, what is not handled, what is older; and what the bus lacks."""
    first, second = [await would_rebuild(nats_url, platform_databases.audit, None) for _ in range(2)]
    assert first == second
    told = first.as_json()
    assert f"create stream {COMMANDS.name}" in told["made"]
    assert told["topics"] == {
        CATALOGUE: {"looked_at": 3, "owed": 2, "older": 0, "untold": 0},
        REMOVE: {"looked_at": 4, "owed": 1, "older": 1, "untold": 0},
    }
    assert told["consumers"] == {API: 1, BILLING: 2, INFERENCE: 1}
    assert told["published"] == 0


async def test_an_emptied_bus_has_again_what_nobody_handled(
    outboxes: Outboxes, platform_databases: Databases, bus_url: str
) -> None:
    """Also after it was emptied once more; the older one is published where it is asked for."""
    for _ in range(2):
        done = await again(bus_url, platform_databases)
        assert done.made
        assert done.published == 3
        assert await waiting(bus_url) == {API: 2, BILLING: 2, INFERENCE: 1}
        await delete_everything(bus_url)
    assert (await again(bus_url, platform_databases, datetime.now(UTC) - 2 * LONG)).published == 4
    assert (await waiting(bus_url))[INFERENCE] == 2


async def test_what_is_handled_meanwhile_is_not_said_again(
    outboxes: Outboxes, platform_databases: Databases, nats_url: str
) -> None:
    """Somebody worked on while the bus was made anew: the second rebuild has less to do."""
    await again(nats_url, platform_databases)
    rows = await outboxes.connection.fetch("select message_id from inference.outbox")
    for consumer in (API, BILLING):
        await outboxes.connection.execute(f"delete from {consumer.partition('-')[0]}.inbox")
        await outboxes.handled(consumer, *(row[0] for row in rows))
    done = await again(nats_url, platform_databases)
    assert (done.made, done.published) == ([], 1)


@pytest.mark.parametrize(("outcome", "owed"), [(None, 1), ("running", 1), ("succeeded", 0), ("cancelled", 0)])
async def test_a_queued_request_is_owed_until_it_ended(
    outcome: str | None, owed: int, platform_databases: Databases
) -> None:
    """Its row stands in for the inbox; one that runs may have been lost with the bus."""
    connection = await asyncpg.connect(platform_databases.admin)
    made = Outboxes(connection)
    id_ = await made.said("inference", example(BatchText, every=False), suffix=".batch")
    if outcome:
        await made.generated(id_.removesuffix(".batch"), outcome)
    tally = Tally()
    now = datetime.now(UTC) + timedelta(seconds=1)
    async for _ in owed_by(Records(connection, PLATFORM), Horizon(now, PLATFORM), tally):
        pass
    assert dict(tally.owed) == ({"cmd.inference.text.batch.v1": 1} if owed else {})
    await connection.close()


async def test_what_no_inbox_remembers_is_left_alone(
    outboxes: Outboxes, platform_databases: Databases, nats_url: str
) -> None:
    """Its inbox partition was dropped: it may have been handled, and so is not published however far one goes back."""
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    await outboxes.connection.execute(
        f"create table inference.inbox_{yesterday:%Y%m%d} partition of inference.inbox "
        f"for values from ('{yesterday}') to ('{yesterday + timedelta(days=1)}')"
    )
    told = (await would_rebuild(nats_url, platform_databases.audit, datetime.now(UTC) - 2 * LONG)).as_json()
    assert told["topics"][REMOVE] == {"looked_at": 4, "owed": 1, "older": 0, "untold": 1}


async def test_pages_and_bodies_are_read_in_parts(
    outboxes: Outboxes, platform_databases: Databases, nats_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than fits into memory at once: each is published once, in the order of time."""
    monkeypatch.setattr(rebuilding, "BODIES", 2)
    monkeypatch.setattr("penstock.moving.owed.PAGE", 3)
    for number in range(10):
        await outboxes.said("inference", CatalogueChanged(version=number, models=[]))
    assert (await again(nats_url, platform_databases)).published == 13
    assert (await waiting(nats_url))[BILLING] == 12


def penstock(*arguments: str) -> Result:
    """Run the command line in this process."""
    return CliRunner().invoke(app, arguments)


async def test_the_command_counts_and_publishes(
    outboxes: Outboxes, platform_databases: Databases, nats_url: str
) -> None:
    """With servers of one's own; JSON for scripts, a table for people."""
    places = ("--bus", nats_url, "--database", platform_databases.audit)
    dry = await asyncio.to_thread(penstock, "bus", "rebuild", *places, "--dry-run")
    assert "would be published again: 3" in dry.stdout
    done = await asyncio.to_thread(penstock, "bus", "rebuild", *places, "--json")
    assert (done.exit_code, json.loads(done.stdout)["published"]) == (0, 3)


@pytest.mark.parametrize("bus", ["nats://127.0.0.1:1", "amqp://127.0.0.1:1", "http://127.0.0.1:1"])
async def test_a_bus_that_is_not_there_is_said(bus: str, platform_databases: Databases) -> None:
    """Before anything is read."""
    with pytest.raises(rebuilding.NoBus, match="The bus can't be used"):
        await would_rebuild(bus, platform_databases.audit, None)
