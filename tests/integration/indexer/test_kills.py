"""Indexers that die: nothing is lost, nothing doubled, nothing charged twice."""

import asyncio
import random
import signal
from uuid import UUID

import pytest

from penstock_common.contracts.documents import DocumentState
from penstock_indexer.domain.errors import IndexingBroken
from penstock_indexer.indexing.workers import MAX_CLAIMS
from tests.support.forks import ended
from tests.support.indexing import House, eventually, killed

pytestmark = [pytest.mark.integration, pytest.mark.chaos]

INDEXED, FAILED = DocumentState.INDEXED, DocumentState.FAILED
WORDS = [f"word{n}" for n in range(400)]
ONCE = """
select count(*) from (
    select document_id from indexer.chunks group by document_id, number having count(*) > 1
) as doubled
"""
KEPT = """
select d.id, count(c.number)::int, max(c.number) + 1, bool_and(c.sealed_vector is not null)
from indexer.documents d join indexer.chunks c on c.document_id = d.id group by d.id
"""


def a_text(seed: int, words: int = 3000) -> bytes:
    """Of some 20,000 characters, its own for each seed."""
    chosen = random.Random(seed).choices(WORDS, k=words)
    return f"Document number {seed}. {' '.join(chosen)}.".encode()


async def check_whole(house: House, base: UUID, ids: list[UUID]) -> None:
    """Every document is there once, whole, and found; each chunk was embedded under one id only."""
    shown = await house.done(base, *ids, seconds=120)
    assert {d.state for d in shown} == {INDEXED}, [(d.error_code, d.error) for d in shown]
    kept = {id_: (count, highest, whole) for id_, count, highest, whole in await house.fetch(KEPT)}
    assert kept == {d.document_id: (d.chunks, d.chunks, True) for d in shown}
    assert await house.fetch(ONCE) == [0]
    assert set(house.embeddings.computed.values()) == {1}
    assert sum(house.embeddings.texts.values()) == sum(d.chunks for d in shown)
    assert await house.fetch("select count(*) from indexer.asks") == [0]


async def test_killed_in_loops(house: House) -> None:
    """Killed every second or so, whatever it does; another one goes on where it was."""
    process = await house.process()
    base = await house.base()
    ids = [await house.add(base, a_text(seed), f"{seed}.txt") for seed in range(12)]
    moments = random.Random(4)
    for _ in range(6):
        await asyncio.sleep(moments.uniform(1.0, 5.0))
        await killed(process)
        process = await house.process()
    try:
        await check_whole(house, base, ids)
        for seed, id_ in enumerate(ids[:3]):
            found = await house.search(base, f"document number {seed}", document_ids=[id_])
            assert found.chunks[0].document_id == id_
    finally:
        await killed(process)


@pytest.mark.parametrize(
    "statement",
    [
        "insert into indexer.documents",
        "insert into indexer.outbox",
        "set state = 'embedding', parsed_at",
        "insert into indexer.chunks",
        "insert into indexer.asks",
        "set sealed_vector = given.vector",
        "set state = 'indexed'",
        "set sequence = b.sequence + 1",
        "update indexer.documents set sequence",
        "delete from indexer.asks where document_id = $1",
    ],
)
async def test_killed_at_each_write(house: House, statement: str) -> None:
    """Before its commit, or after that of what came before: the next process ends in the same state."""
    process = await house.dying(statement)
    base = await house.base()
    document = await house.add(base, a_text(1))
    assert await ended(process) == -signal.SIGKILL
    async with house.indexer():
        await check_whole(house, base, [document])


async def left_behind(house: House) -> tuple[UUID, UUID]:
    """A base with a document whose process was killed while the model computed; it has its answer now."""
    house.embeddings.gate.clear()
    process = await house.process()
    base = await house.base()
    document = await house.add(base, a_text(1))
    await asyncio.wait_for(house.embeddings.waiting.wait(), 30)
    await killed(process)
    house.embeddings.gate.set()
    return base, document


async def test_killed_while_the_model_computes(house: House) -> None:
    """The request was kept before it was asked: the next process takes its answer, and nothing is computed twice."""
    base, document = await left_behind(house)
    async with house.indexer():
        await check_whole(house, base, [document])


@pytest.mark.parametrize(("deaths", "state"), [(MAX_CLAIMS - 1, INDEXED), (MAX_CLAIMS, FAILED)])
async def test_only_many_deaths_are_a_documents_doing(house: House, deaths: int, state: DocumentState) -> None:
    """A process that dies is nearly always killed by something else, and its documents go on."""
    base, document = await left_behind(house)
    await house.fetch("update indexer.documents set attempts = :deaths returning id", deaths=deaths)
    async with house.indexer():
        (shown,) = await house.done(base, document)
    assert (shown.state, shown.error_code) == (state, "" if state is INDEXED else IndexingBroken.code)


async def test_removed_while_it_is_indexed(house: House) -> None:
    """The worker notices, and leaves nothing behind."""
    house.embeddings.gate.clear()
    async with house.indexer():
        base = await house.base()
        document = await house.add(base, a_text(1))
        await asyncio.wait_for(house.embeddings.waiting.wait(), 30)
        await house.remove(base, document)

        async def is_gone() -> bool:
            return await house.documents(base) == []

        await eventually(is_gone)
        house.embeddings.gate.set()
        other = await house.add(base, a_text(2))
        await house.done(base, other)
    assert await house.fetch("select distinct document_id from indexer.chunks") == [other]
    assert await house.fetch("select count(*) from indexer.asks") == [0]


async def test_two_processes_share_the_work(house: House) -> None:
    """Each document is indexed by one of them, and found by both."""
    async with house.indexer() as first, house.indexer() as second:
        base = await house.base()
        ids = [await house.add(base, a_text(seed)) for seed in range(6)]
        await check_whole(house, base, ids)
        for app in (first, second):
            known = await app.shelf.changes.base(base)
            assert known
            index = await app.shelf.current(known)
            assert index.sequence == len(ids)
            assert index.vectors._index.ntotal == sum(house.embeddings.texts.values())


async def test_a_stop_hands_back(house: House) -> None:
    """A document under way at a stop is taken up at once by the next process, as nobody's fault."""
    house.embeddings.gate.clear()
    async with house.indexer(lease_seconds=60):
        base = await house.base()
        document = await house.add(base, a_text(1))
        await asyncio.wait_for(house.embeddings.waiting.wait(), 30)
    house.embeddings.gate.set()
    async with house.indexer(lease_seconds=60):
        await check_whole(house, base, [document])
