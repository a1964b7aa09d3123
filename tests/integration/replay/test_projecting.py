"""Projections made anew beside the live ones: compared exactly, swapped whole, also while events come in."""

import asyncio
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from penstock.projecting import run
from penstock.projecting.comparison import Difference
from penstock.projecting.found import PROJECTIONS
from penstock.projecting.rebuilding import Rebuilt
from penstock.projecting.run import Places, check, swap
from penstock_common.contracts.generation import GenerationCompleted
from penstock_common.db.transaction import Database
from penstock_common.messaging.connect import apply_topology
from penstock_common.topology import PLATFORM
from tests.integration.replay.dying import exchanged, points_in
from tests.integration.replay.stage import PART
from tests.integration.replay.test_effects import Api
from tests.support.billing import Billing, a_catalogue, a_completion, id_of
from tests.support.databases import Databases, execute
from tests.support.deliveries import delivered
from tests.support.submitting import rows

pytestmark = pytest.mark.integration

REQUESTS, CATALOGUE, PRICES = (PROJECTIONS[name] for name in ("api.requests", "api.catalogue", "billing.prices"))


@dataclass
class Stage:
    """What inference said, and what api and billing made of it."""

    databases: Databases
    bus_url: str
    inference: Database
    api: Api
    billing: Billing

    def places(self, service: str) -> Places:
        """As the operator's command finds them."""
        return Places(self.databases.audit, self.databases.services[service], self.bus_url)

    async def say(self, *events: Any) -> None:
        """Write into the outbox."""
        async with self.inference.transaction() as tx:
            for event in events:
                tx.publish(event, message_id=id_of(event))

    async def hear(self, *events: GenerationCompleted) -> None:
        """Api handles ends."""
        await self.api.receive(*(delivered(event, id_of(event)) for event in events))


@pytest.fixture
async def stage(platform_databases: Databases, nats_url: str) -> AsyncIterator[Stage]:
    """Ten requests that ended, two of which api alone knows, and a catalogue."""
    await apply_topology(nats_url, PART)
    urls = platform_databases.services
    inference = Database(urls["inference"], "inference", PLATFORM)
    made = Stage(platform_databases, nats_url, inference, Api(urls["api"]), Billing(urls["billing"]))
    ends = [a_completion(attempt=2), *(a_completion() for _ in range(9))]
    catalogue = a_catalogue(version=3)
    await made.say(catalogue, *ends)
    await made.hear(*ends)
    await made.billing.receive(catalogue)
    await execute(
        platform_databases.admin,
        "insert into api.requests (request_id, tenant, key_id, model, streamed, lane, status, accepted_at, deadline)"
        " select gen_random_uuid(), tenant, key_id, model, streamed, lane, known.status, now(), now()"
        " from api.requests, unnest(array['accepted', 'refused']) as known(status) where attempt = 2",
    )
    async with made.api.database.engine.begin() as connection:
        await made.api.deps.keep_catalogue(connection, catalogue)
    yield made
    for database in (inference, made.api.database, made.billing.database):
        await database.close()


@pytest.mark.parametrize("projection", [REQUESTS, CATALOGUE, PRICES], ids=lambda each: each.name)
async def test_what_was_handled_is_what_events_make(stage: Stage, projection: Any) -> None:
    """No difference, and nothing is left behind of the comparison."""
    done = await check(projection, stage.places(projection.service), settle=0)
    assert done.difference.as_json() == {"missing": 0, "differing": 0, "surplus": 0, "rows": []}
    assert done.events == (10 if projection is REQUESTS else 1)
    left = f"select count(*) from pg_class where relname = '{projection.table}' and relpersistence = 't'"
    assert await rows(stage.databases, left) == [0]


DAMAGE = [
    (REQUESTS, "delete from api.requests where attempt = 2", (1, 0, 0)),
    (REQUESTS, "update api.requests set completion_tokens = 7 where attempt = 1", (0, 9, 0)),
    (REQUESTS, "update api.requests set status = 'accepted', attempt = 0 where attempt = 2", (0, 1, 0)),
    (REQUESTS, "update api.requests set status = 'failed', ended_at = now() where status = 'accepted'", (0, 0, 1)),
    (CATALOGUE, "update api.catalogue set models = '[]'", (0, 1, 0)),
    (CATALOGUE, "delete from api.catalogue", (1, 0, 0)),
    (PRICES, "update billing.prices set input_nano = input_nano + 1", (0, 1, 0)),
    (PRICES, "delete from billing.prices", (1, 0, 0)),
]


async def test_a_damaged_row_is_found_and_put_right(stage: Stage) -> None:
    """Counted by kind, shown with both sides; after the swap there is none, and what api itself saw is kept."""
    for projection, damage, counts in DAMAGE:
        await execute(stage.databases.admin, damage)
        places = stage.places(projection.service)
        found = (await check(projection, places, settle=0)).difference
        assert (found.missing, found.differing, found.surplus) == counts, damage
        assert len(found.rows) == sum(counts)
        assert all(row.live != row.made for row in found.rows)
        done = await swap(projection, places)
        assert (done.swapped, done.difference) == (True, found), damage
        assert (await check(projection, places, settle=0)).difference.total == 0, damage
    kept = "select status from api.requests where attempt = 0 order by status"
    assert await rows(stage.databases, kept) == ["refused"]


async def test_killed_anywhere_a_swap_is_done_or_not_begun(stage: Stage, tmp_path: Path) -> None:
    """Between any two of its statements and words: what is there is as before or as events make it, never between."""
    places = stage.places("api")
    damage = "update api.requests set completion_tokens = 7 where attempt > 0"
    await execute(stage.databases.admin, damage)
    assert await exchanged(REQUESTS.name, places, tmp_path) == 0
    points = points_in(tmp_path)
    assert {point.partition(" ")[0] for point in points} == {"word", "commit", "update", "insert", "delete", "lock"}
    for point in points:
        await execute(stage.databases.admin, damage)
        assert await exchanged(REQUESTS.name, places, tmp_path, point) == -signal.SIGKILL, point
        assert (await check(REQUESTS, places, settle=0)).difference.total in (0, 10), point
        await swap(REQUESTS, places)
        assert (await check(REQUESTS, places, settle=0)).difference.total == 0, point


async def test_a_swap_under_way_loses_nothing_that_comes_in(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """An end that was handled between reading and swapping, and one that is handled in the midst of the swap."""
    await execute(stage.databases.admin, "update api.requests set prompt_tokens = 1 where attempt = 1")
    handled, late = (a_completion(completed_at=datetime.now(UTC)) for _ in range(2))
    exchange, hearing = run._exchange, list[asyncio.Task[None]]()

    async def exchanging(rebuilt: Rebuilt) -> Difference:
        catch_up = rebuilt.catch_up

        async def caught_up() -> None:
            await catch_up()
            await stage.say(late)
            hearing.append(asyncio.create_task(stage.hear(late)))
            await asyncio.wait(hearing, timeout=0.5)

        monkeypatch.setattr(rebuilt, "catch_up", caught_up)
        await stage.say(handled)
        await stage.hear(handled)
        return await exchange(rebuilt)

    monkeypatch.setattr(run, "_exchange", exchanging)
    await swap(REQUESTS, stage.places("api"))
    await asyncio.gather(*hearing)
    ids = await rows(stage.databases, "select request_id from api.requests where status = 'succeeded'")
    assert {handled.request_id, late.request_id} <= set(ids)
    assert (await check(REQUESTS, stage.places("api"), settle=0)).difference.total == 0


async def test_what_is_under_way_is_waited_for(stage: Stage) -> None:
    """An end that api handles a moment later is no difference."""
    event = a_completion()
    await stage.say(event)

    async def soon() -> None:
        await asyncio.sleep(0.7)
        await stage.hear(event)

    hearing = asyncio.create_task(soon())
    done = await check(REQUESTS, stage.places("api"), settle=20)
    await hearing
    assert done.difference.total == 0
