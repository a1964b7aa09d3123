"""Ends in groups: each is recorded once and said once, whatever becomes of the connection."""

import asyncio
import time
from typing import Any

import pytest

from penstock_common.contracts.generation import CancelGeneration, GenerateText, Tokens
from penstock_common.ids import uuid7
from penstock_common.sealing import Sealer
from penstock_inference.adapters import end_writer
from penstock_inference.adapters.generations import Cancellations
from tests.conftest import Start
from tests.integration.inference.records.conftest import Open
from tests.integration.inference.records.ends import an_end
from tests.integration.inference.records.mute import MuteProxy
from tests.integration.inference.records.store import Store
from tests.support.databases import Databases, temporary_platform
from tests.support.generation_fakes import a_command
from tests.support.servers import postgres_server

pytestmark = pytest.mark.integration

TOTALS = "select count(*), count(distinct message_id) from inference.outbox where message_id like '%.completed'"


async def test_winner_and_outbox_row_are_one(store: Store, sealer: Sealer) -> None:
    """Two ends of one request in one group: one row, one fact, which names the winner's attempt."""
    command = a_command(sealer)
    won = await asyncio.gather(*(store.records.finish(an_end(command, attempt)) for attempt in (1, 1, 2)))
    assert sum(won) == 1
    assert await store.said(command.request_id) == ["completed"]


async def test_five_hundred_at_once_share_their_commits(store: Store, sealer: Sealer) -> None:
    """All count, all are said, in far fewer transactions than ends."""
    commands = [a_command(sealer) for _ in range(500)]
    assert all(await asyncio.gather(*(store.records.finish(an_end(c)) for c in commands)))
    assert await store.rows(TOTALS) == [(500, 500)]
    assert (await store.rows("select count(distinct xmin::text) from inference.generations"))[0] <= 10


async def test_a_busy_hour_makes_larger_groups(store: Store, sealer: Sealer, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a commit of several ends the next waits for more; a lone end waits for nothing."""
    monkeypatch.setattr(end_writer, "PAUSE_SECONDS", 3.0)
    began = time.monotonic()
    for _ in range(3):
        assert await store.records.finish(an_end(a_command(sealer)))
    assert time.monotonic() - began < 2.5
    assert all(await asyncio.gather(*(store.records.finish(an_end(a_command(sealer))) for _ in range(4))))
    late = [asyncio.create_task(later(store, a_command(sealer), n / 20)) for n in range(5)]
    assert all(await asyncio.gather(*late))
    sizes = await store.rows("select count(*) from inference.generations group by xmin::text order by 1")
    assert sizes == [1, 1, 1, 4, 5]


async def test_row_says_what_the_end_said(store: Store, sealer: Sealer) -> None:
    """Counts, place and outcome stand in columns of their own; the text is sealed."""
    end = an_end(a_command(sealer), tokens=Tokens(30, 12, 4, 2))
    await store.records.finish(end)
    [row] = await store.rows(
        "select outcome, attempt, prompt_tokens, completion_tokens, cached_tokens, reasoning_tokens, measure,"
        " model, deployment, provider, price_version from inference.generations"
    )
    place = ("some/model", "openai-compatible:upstream", "vllm", 7)
    assert row == ("succeeded", 1, 30, 12, 4, 2, "measured", *place)
    assert b"Hello" not in (await store.rows("select sealed from inference.generations"))[0]
    assert b"Hello" not in (await store.rows("select body from inference.outbox"))[0]


async def test_sealed_text_opens_with_its_key_and_for_its_request_only(store: Store, sealer: Sealer) -> None:
    """Erasing the tenant's key erases the answer: the row stays, its text reads as none."""
    end = an_end(a_command(sealer))
    await store.records.finish(end)
    recorded = await store.records.read(end.command.request_id)
    assert recorded
    assert recorded.frames == end.frames
    sealer.keyring.erase(end.command.tenant)
    sealer.forget(end.command.tenant)
    recorded = await store.records.read(end.command.request_id)
    assert recorded
    assert (recorded.outcome, recorded.frames) == ("succeeded", [])


async def test_end_of_an_erased_tenant_is_recorded_without_text(store: Store, sealer: Sealer) -> None:
    """The tokens were used all the same."""
    end = an_end(a_command(sealer))
    sealer.keyring.erase(end.command.tenant)
    sealer.forget(end.command.tenant)
    assert await store.records.finish(end)
    assert await store.rows("select sealed, prompt_tokens from inference.generations") == [(None, 3)]


@pytest.mark.parametrize("poison", [{"tokens": Tokens(10**12, 1)}, {"tokens": Tokens(-1, 1)}, {"place": None}])
async def test_poison_end_fails_alone(store: Store, sealer: Sealer, poison: dict[str, Any]) -> None:
    """A number that no column takes, or text that PostgreSQL refuses: its neighbours in the group are recorded."""
    if "place" in poison:
        poison = {"place": an_end(a_command(sealer)).place.__class__("a\x00b")}
    bad, good = an_end(a_command(sealer), **poison), [an_end(a_command(sealer)) for _ in range(5)]
    results = await asyncio.wait_for(
        asyncio.gather(*(store.records.finish(e) for e in [bad, *good]), return_exceptions=True), 20
    )
    assert isinstance(results[0], Exception)
    assert results[1:] == [True] * 5
    assert await store.rows(TOTALS) == [(5, 5)]
    assert await store.records.finish(an_end(a_command(sealer)))


async def test_lost_attempt_is_booked_with_its_claim(store: Store, sealer: Sealer) -> None:
    """Each claim says that the attempt before it was lost; a losing end says what it cost."""
    command = a_command(sealer)
    await store.records.claim(command, "second")
    await store.records.claim(command, "third")
    await store.records.cost(an_end(command, 2))
    assert await store.said(command.request_id) == ["1.lost", "2.lost", "2.costed"]


async def test_first_reason_of_a_stop_stays(store: Store, sealer: Sealer) -> None:
    """A stop asked for twice is one mark, found by whoever begins later."""
    command = a_command(sealer)
    for reason in ("first", "second"):
        cancel = CancelGeneration(request_id=command.request_id, tenant=command.tenant, reason=reason)
        async with store.database.transaction() as tx:
            await Cancellations().mark(tx.connection, cancel)
    assert await store.records.is_cancelled(command.request_id)
    assert await store.rows("select reason from inference.cancellations") == ["first"]


async def test_commit_that_nobody_heard_of_has_its_winner(
    platform_databases: Databases, store: Store, open_store: Open, sealer: Sealer
) -> None:
    """The server commits, its answer is lost with the connection: the nonce tells that the row is ours."""
    async with MuteProxy(platform_databases.services["inference"]) as proxy:
        behind = await open_store(proxy.url)
        unheard = 0
        for _ in range(5):
            command = a_command(sealer)
            won = await unheard_end(behind, store, proxy, command)
            unheard += won
            assert await store.said(command.request_id) == ["completed"]
        assert unheard


async def unheard_end(behind: Store, witness: Store, proxy: MuteProxy, command: GenerateText) -> bool:
    """Record an end whose commit is not heard of; False where the connection was cut before the commit."""
    await asyncio.gather(*(behind.records.finish(an_end(a_command(behind.sealer))) for _ in range(3)))
    proxy.mute = True
    ending = asyncio.create_task(behind.records.finish(an_end(command)))
    committed = await appears(witness, command)
    proxy.cut()
    assert await asyncio.wait_for(ending, 20)
    return committed


async def appears(witness: Store, command: GenerateText, seconds: float = 1.0) -> bool:
    """Whether a row comes to be."""
    try:
        async with asyncio.timeout(seconds):
            while not await witness.records.read(command.request_id):
                await asyncio.sleep(0.01)
    except TimeoutError:
        return False
    return True


async def test_unheard_commit_of_a_loser_stays_a_loser(
    platform_databases: Databases, store: Store, open_store: Open, sealer: Sealer
) -> None:
    """Doubt about a connection does not turn somebody else's end into ours."""
    async with MuteProxy(platform_databases.services["inference"]) as proxy:
        behind = await open_store(proxy.url)
        command = a_command(sealer)
        await behind.records.finish(an_end(a_command(sealer)))
        assert await store.records.finish(an_end(command, 2))
        proxy.mute = True
        ending = asyncio.create_task(behind.records.finish(an_end(command, 2)))
        await asyncio.sleep(0.2)
        proxy.cut()
        assert not await asyncio.wait_for(ending, 20)
    assert await store.said(command.request_id) == ["completed"]


async def test_connections_cut_under_load_lose_and_double_nothing(
    platform_databases: Databases, store: Store, open_store: Open, sealer: Sealer
) -> None:
    """Every end counts, every fact is said once, though no connection lives long."""
    async with MuteProxy(platform_databases.services["inference"]) as proxy:
        behind = await open_store(proxy.url)
        commands = [a_command(sealer) for _ in range(300)]
        ending = asyncio.gather(*(later(behind, c, n / 300) for n, c in enumerate(commands)))
        while not ending.done():
            await asyncio.sleep(0.08)
            proxy.cut()
            await asyncio.sleep(0.12)
        assert all(ending.result())
    assert await store.rows(TOTALS) == [(300, 300)]


async def later(store: Store, command: GenerateText, seconds: float) -> bool:
    """An end after a while."""
    await asyncio.sleep(seconds)
    return await store.records.finish(an_end(command))


@pytest.mark.chaos
async def test_database_killed_and_restarted_loses_no_end(
    private_server: Start, open_store: Open, sealer: Sealer
) -> None:
    """Ends wait, the writer says that it is stalled, and all are recorded once the server is back."""
    server = private_server(postgres_server())
    async with temporary_platform(getattr(server.kind, "maintenance_url", server.url)) as databases:
        store = await open_store(databases.services["inference"])
        early = [a_command(sealer) for _ in range(100)]
        ending = asyncio.gather(*(later(store, c, n / 200) for n, c in enumerate(early)))
        await asyncio.sleep(0.1)
        await asyncio.to_thread(server.kill)
        async with asyncio.timeout(20):
            while not store.records.stalled:
                await asyncio.sleep(0.05)
        await asyncio.to_thread(server.start)
        assert all(await asyncio.wait_for(ending, 30))
        assert await store.rows(TOTALS) == [(100, 100)]
        assert not store.records.stalled


async def test_a_frozen_process_takes_no_freeze_for_an_outage(store: Store) -> None:
    """Whoever wakes answers what waits, instead of refusing it."""
    assert await store.records.read(uuid7()) is None
    time.sleep(3.0)
    for _ in range(5):
        await asyncio.sleep(0)
        assert not store.records.stalled
