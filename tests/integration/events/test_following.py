"""Events as they are said: each once, also those whose transaction ends late, and through an outage."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest

from penstock.events import following
from penstock.events.following import followed
from penstock_common.events.event import StoredEvent
from penstock_common.events.selection import Selection
from penstock_common.ids import uuid7
from tests.support.databases import Databases
from tests.support.outboxes import an_event, insert

pytestmark = pytest.mark.integration

SECOND = timedelta(seconds=1)
CUT = "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'penstock-events'"


def said(ago: timedelta = timedelta(0), made: timedelta | None = None) -> StoredEvent:
    """An event of now, or whose transaction began a while ago; its id may be older still."""
    now = datetime.now(UTC)
    id_ = uuid7(int((now - (ago if made is None else made)).timestamp() * 1000))
    return an_event(now - ago, id=id_, created_at=now - ago, service="api")


@asynccontextmanager
async def tail(url: str, selection: Selection | None = None) -> AsyncIterator[list[UUID]]:
    """Follows in the background; gives the ids that were shown so far."""
    shown: list[UUID] = []
    begun = asyncio.Event()

    async def follow() -> None:
        async with aclosing(followed(url, selection or Selection(), shown_problem, pause=0.05)) as events:
            begun.set()
            async for event in events:
                shown.append(event.id)  # noqa: PERF401 (each is there as soon as it was shown)

    def shown_problem(_: str) -> None:
        """What is told while the database is away."""

    task = asyncio.create_task(follow())
    await begun.wait()
    await asyncio.sleep(0.4)
    try:
        yield shown
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until_shown(shown: list[UUID], *events: StoredEvent) -> None:
    """Wait until these were shown, and nothing else."""
    async with asyncio.timeout(10):
        while len(shown) < len(events):
            await asyncio.sleep(0.02)
    await asyncio.sleep(0.3)
    assert sorted(shown) == sorted(event.id for event in events)


async def test_what_is_said_from_now_on_is_shown_once(
    platform_databases: Databases, writing: asyncpg.Connection
) -> None:
    """What was there before is not."""
    await insert(writing, [said(), said(3 * SECOND), said(70 * SECOND)])
    async with tail(platform_databases.audit) as shown:
        assert shown == []
        first = said()
        await insert(writing, [first])
        await until_shown(shown, first)
        second = [said() for _ in range(300)]
        await insert(writing, second)
        await until_shown(shown, first, *second)


async def test_history_comes_first(platform_databases: Databases, writing: asyncpg.Connection) -> None:
    """From a moment on, each once, in front of what is new."""
    old = [said(90 * SECOND), said(20 * SECOND), said(2 * SECOND)]
    await insert(writing, [said(200 * SECOND), *old])
    async with tail(platform_databases.audit, Selection(since=datetime.now(UTC) - 100 * SECOND)) as shown:
        await until_shown(shown, *old)
        new = said()
        await insert(writing, [new])
        await until_shown(shown, *old, new)
        assert shown == [event.id for event in [*old, new]]


async def test_a_late_commit_is_shown(
    platform_databases: Databases, writing: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its id lies behind others that were shown long ago: a cursor would skip it. It is shown once."""
    monkeypatch.setattr(following, "SWEEP_EVERY", SECOND / 4)
    async with tail(platform_databases.audit) as shown:
        new = said()
        await insert(writing, [new])
        await until_shown(shown, new)
        late = [said(made=8 * SECOND), said(made=600 * SECOND), said(30 * SECOND, made=31 * SECOND)]
        await insert(writing, late)
        await until_shown(shown, new, *late)


async def test_a_cut_connection_loses_nothing(platform_databases: Databases, writing: asyncpg.Connection) -> None:
    """What is said meanwhile is shown afterwards."""
    async with tail(platform_databases.audit) as shown:
        events = [said()]
        await insert(writing, events)
        await until_shown(shown, *events)
        for _ in range(3):
            assert await writing.execute(CUT)
            events.append(said())
            await insert(writing, events[-1:])
            await asyncio.sleep(0.3)
        await until_shown(shown, *events)


async def test_what_is_not_wanted_is_not_shown(platform_databases: Databases, writing: asyncpg.Connection) -> None:
    """The choice holds for what is new and for what is late."""
    async with tail(platform_databases.audit, Selection(subjects=("cmd.>",), services=("api",))) as shown:
        wanted = an_event(datetime.now(UTC), "cmd.a.b.c.v1", "api")
        await insert(writing, [said(), an_event(datetime.now(UTC), "cmd.a.b.c.v1", "worker"), wanted])
        await until_shown(shown, wanted)


async def test_memory_is_given_back(platform_databases: Databases, writing: asyncpg.Connection) -> None:
    """Ids that no look can meet again are forgotten."""
    now = datetime.now(UTC)
    follower = following.Follower(Selection(), now - 10 * SECOND, now - 10 * SECOND)
    old, young = said(70 * SECOND), said()
    follower.shown = {old.id: now - 80 * SECOND, young.id: now}
    look = await follower.look(writing)
    follower.advance(look)
    assert set(follower.shown) == {young.id}
