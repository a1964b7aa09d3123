"""What operators do is written down once, and can't be unwritten."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest

from penstock.acting import ActUntold, acting, operator
from tests.support.api import ADMIN, USER, bearer
from tests.support.databases import Databases

pytestmark = pytest.mark.integration

AUDIT = "/api/v1/admin/audit"
SECONDS = 10.0
ON_NATS = pytest.mark.parametrize("bus_url", ["nats_url"], indirect=True)
"""For what has nothing to do with the bus."""


@pytest.fixture
def key() -> str:
    """The operator's."""
    return ADMIN


async def entries(client: httpx.AsyncClient, count: int, **query: str) -> list[dict[str, Any]]:
    """The newest entries, once there are as many."""
    async with asyncio.timeout(SECONDS):
        while True:
            answer = await client.get(AUDIT, params=query)
            found: list[dict[str, Any]] = answer.raise_for_status().json()["entries"]
            if len(found) >= count:
                return found
            await asyncio.sleep(0.05)


async def test_an_act_is_told_before_and_after(client: httpx.AsyncClient, bus_url: str) -> None:
    """Who, what and with which result; a failed one says why."""
    async with acting(bus_url, "events.replay", {"to": "everyone"}) as act:
        (begun,) = await entries(client, 1)
        act.results["published"] = "3"
    with pytest.raises(ZeroDivisionError):
        async with acting(bus_url, "bus.rebuild", {}):
            _ = 1 / 0
    failed, _, done, first = await entries(client, 4)
    assert first == begun
    assert (begun["act_id"], begun["phase"], begun["actor"]) == (str(act.id), "begun", operator())
    assert (done["act_id"], done["phase"]) == (str(act.id), "done")
    assert done["details"] == {"to": "everyone", "published": "3"}
    assert (failed["act"], failed["phase"]) == ("bus.rebuild", "failed")
    assert "ZeroDivisionError" in failed["details"]["reason"]


async def test_nothing_is_done_that_the_log_could_not_hear_of() -> None:
    """A bus that is away ends it before it begins, and the sentence says so."""
    done = False
    with pytest.raises(ActUntold, match="nothing was done"):
        async with acting("nats://127.0.0.1:1", "bus.rebuild", {}, patience=0.1):
            done = True
    assert not done


@ON_NATS
async def test_the_log_is_read_by_pages_and_filters(client: httpx.AsyncClient, bus_url: str) -> None:
    """Newest first; a family of acts by its first word; nothing without the operator's key."""
    for name in ("events.replay", "events.project", "bus.rebuild"):
        async with acting(bus_url, name, {}):
            pass
    await entries(client, 6)
    first = (await client.get(AUDIT, params={"limit": "4"})).json()["entries"]
    rest = (await client.get(AUDIT, params={"before": first[-1]["id"]})).json()["entries"]
    assert [e["act"] for e in first + rest] == ["bus.rebuild"] * 2 + ["events.project"] * 2 + ["events.replay"] * 2
    assert len(await entries(client, 4, act="events")) == 4
    assert await entries(client, 0, act="event") == []
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    assert await entries(client, 0, since=later) == []
    assert (await client.get(AUDIT, headers=bearer(USER))).status_code == 403
    wrong = await client.get(AUDIT, params={"since": "yesterday"})
    assert (wrong.status_code, wrong.json()["code"]) == (422, "api.invalid_request")


@ON_NATS
async def test_the_log_refuses_to_be_changed(
    client: httpx.AsyncClient, bus_url: str, platform_databases: Databases
) -> None:
    """Not even its owner's role changes or forgets an entry within seven years."""
    async with acting(bus_url, "bus.rebuild", {}):
        pass
    (entry, _) = await entries(client, 2)
    connection = await asyncpg.connect(platform_databases.services["api"])
    try:
        for statement in (
            "update api.audit_entries set actor = 'nobody'",
            "delete from api.audit_entries",
            "truncate api.audit_entries",
        ):
            with pytest.raises(asyncpg.RestrictViolationError):
                await connection.execute(statement)
        old = "insert into api.audit_entries values (gen_random_uuid(), $1, 'old', 'done', 'x', '{}', $2)"
        await connection.execute(old, UUID(entry["act_id"]), datetime.now(UTC) - timedelta(days=7 * 366 + 1))
        assert await connection.execute("delete from api.audit_entries where act = 'old'") == "DELETE 1"
    finally:
        await connection.close()
