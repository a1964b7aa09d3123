"""From an upload to a search, over the bus."""

import asyncio
import os
import time

import pytest

from penstock_common.contracts.documents import DocumentState, RemoveBase, SearchMode
from penstock_common.ids import uuid7
from tests.support.fake_embeddings import MODEL
from tests.support.indexing import TENANT, House, eventually
from tests.support.pdfs import a_pdf

pytestmark = pytest.mark.integration

WATER = b"A penstock brings water to the turbines.\n\nIt is a pipe with a gate."
BREAD = b"Bread is made of flour, water and salt. Yeast lets it rise."


@pytest.mark.parametrize("mode", SearchMode)
async def test_an_upload_is_found(house: House, mode: SearchMode) -> None:
    """With its name, its text and where it stands; the right document first, in every mode."""
    async with house.indexer():
        base = await house.base()
        pipe, bread = await house.add(base, WATER, "pipe.txt"), await house.add(base, BREAD, "bread.txt")
        shown = await house.done(base, pipe, bread)
        found = await house.search(base, "yeast flour bread", mode=mode)
    assert [(d.state, d.chunks, d.name) for d in shown] == [
        (DocumentState.INDEXED, 1, "pipe.txt"),
        (DocumentState.INDEXED, 1, "bread.txt"),
    ]
    best = found.chunks[0]
    assert (best.document_id, best.name, best.text) == (bread, "bread.txt", BREAD.decode())
    assert (best.start, best.end, best.page) == (0, len(BREAD), 0)
    assert house.embeddings.models == ({MODEL})


async def test_a_pdf_is_found_by_page(house: House) -> None:
    """The page comes with the chunk."""
    async with house.indexer():
        base = await house.base(chunk_characters=20, overlap_characters=0)
        pdf = a_pdf("Nothing here.", "Turbines turn.", "The end.")
        document = await house.add(base, pdf, "t.pdf", "application/pdf")
        (shown,) = await house.done(base, document)
        found = await house.search(base, "turbines", mode=SearchMode.WORDS)
    assert (shown.state, shown.pages) == (DocumentState.INDEXED, 3)
    assert [(chunk.page, chunk.text) for chunk in found.chunks] == [(2, "Turbines turn.")]


async def test_only_the_documents_asked_for(house: House) -> None:
    """Others don't take the places of those."""
    async with house.indexer():
        base = await house.base()
        ids = [await house.add(base, WATER) for _ in range(3)]
        await house.done(base, *ids)
        for mode in SearchMode:
            found = await house.search(base, "water", mode=mode, document_ids=[ids[1]])
            assert {chunk.document_id for chunk in found.chunks} == {ids[1]}


async def test_a_removed_document_is_gone(house: House) -> None:
    """From the answer, the rows, the indexes and the object storage; also after a restart."""
    async with house.indexer():
        base = await house.base()
        kept, gone = await house.add(base, WATER), await house.add(base, BREAD)
        await house.done(base, kept, gone)
        assert (await house.search(base, "bread yeast")).chunks[0].document_id == gone
        await house.remove(base, gone)
        await eventually(lambda: is_gone(house, base))
        await eventually(lambda: has_objects(house, 1))
        for mode in SearchMode:
            found = await house.search(base, "bread yeast", mode=mode)
            assert all(chunk.document_id == kept for chunk in found.chunks)
    async with house.indexer() as again:
        found = await house.search(base, "bread yeast water")
        assert {chunk.document_id for chunk in found.chunks} == {kept}
        known = await again.shelf.changes.base(base)
        assert known
        index = await again.shelf.current(known)
        tokens = again.shelf.changes.tokens.of(TENANT, "yeast")
        assert await index.by_words(tokens, 10, None) == []
        assert index.vectors._index.ntotal == 1
    assert await house.fetch("select count(*) from indexer.chunks") == [1]


async def is_gone(house: House, base: object) -> bool:
    """Whether one document is left."""
    return await house.fetch("select count(*) from indexer.documents where base_id = :base", base=base) == [1]


async def has_objects(house: House, count: int) -> bool:
    """Whether so many contents are left."""
    return len([stored async for stored in house.objects.list("documents")]) == count


async def test_a_removed_base_is_gone(house: House) -> None:
    """With its documents, contents and index; what comes for it later is not kept."""
    async with house.indexer():
        base = await house.base()
        await house.done(base, await house.add(base, WATER))
        assert (await house.search(base, "water")).chunks
        await house.send(RemoveBase(base_id=base, tenant=TENANT))
        await eventually(lambda: has_objects(house, 0))
        assert (await house.search(base, "water")).error_code == "indexer.base_not_found"
        assert (await house.bases()).bases == []
        await house.add(base, BREAD)
        await eventually(lambda: has_objects(house, 0))
        assert await house.fetch("select count(*) from indexer.documents") == [0]

        async def has_no_folder() -> bool:
            return not list((house.folder / "index").glob(f"*/{base}"))

        await eventually(has_no_folder)


async def test_another_tenant_sees_nothing(house: House) -> None:
    """Neither base nor documents nor chunks; and removes nothing."""
    stranger = uuid7()
    async with house.indexer():
        base = await house.base()
        document = await house.add(base, WATER)
        await house.done(base, document)
        assert (await house.search(base, "water", tenant=stranger)).error_code == "indexer.base_not_found"
        assert await house.documents(base, tenant=stranger) == []
        await house.remove(base, document, tenant=stranger)
        await house.send(RemoveBase(base_id=base, tenant=stranger))
        marker = await house.base()
        assert {b.base_id for b in (await house.bases()).bases} == {base, marker}
        assert len((await house.search(base, "water")).chunks) == 1


async def test_a_document_delivered_twice_is_one(house: House) -> None:
    """One row, its chunks once, one request to the model."""
    async with house.indexer():
        base = await house.base()
        document = await house.add(base, WATER, times=3)
        await house.done(base, document)
        assert len((await house.search(base, "water pipe")).chunks) == 1
    assert await house.fetch("select count(*) from indexer.chunks") == [1]
    assert house.embeddings.texts == {WATER.decode(): 1}


async def test_a_removal_that_comes_first_wins(house: House) -> None:
    """No order is promised: a document that was removed before it came is not kept."""
    document = uuid7()
    async with house.indexer():
        base = await house.base()
        await house.remove(base, document)

        async def is_buried() -> bool:
            return bool(await house.fetch("select 1 from indexer.removals where document_id = :id", id=document))

        await eventually(is_buried)
        await house.add(base, WATER, document_id=document)
        await eventually(lambda: has_objects(house, 0))
        assert await house.documents(base) == []


async def test_tenants_take_turns(house: House) -> None:
    """One tenant's pile doesn't hold up another's document."""
    other = uuid7()
    house.embeddings.gate.clear()
    async with house.indexer(documents_at_once=1):
        pile, single = await house.base(), await house.base(other)
        piled = [await house.add(pile, WATER) for _ in range(12)]
        await asyncio.wait_for(house.embeddings.waiting.wait(), 30)
        await house.add(single, BREAD, tenant=other)

        async def is_queued() -> bool:
            return len(await house.documents(single, other)) == 1

        await eventually(is_queued)
        house.embeddings.gate.set()
        await house.done(pile, *piled)
    order = await house.fetch("select base_id from indexer.documents order by changed_at")
    assert order.index(single) <= 3


async def test_contents_without_a_document_are_swept(house: House) -> None:
    """An upload that died before its command was kept; not one whose command may still come."""
    async with house.indexer() as app:
        base = await house.base()
        kept = await house.add(base, WATER)
        await house.done(base, kept)
        for name in ("orphan", "young"):
            await house.objects.put(f"documents/{TENANT}/{name}", b"sealed")
        long_ago = time.time() - 8 * 86_400
        for name in (str(kept), "orphan"):
            os.utime(house.folder / "objects" / "documents" / str(TENANT) / name, (long_ago, long_ago))
        assert await app.upkeep.removing.reconcile_orphans() == 1
    left = {stored.key.rpartition("/")[2] async for stored in house.objects.list("documents")}
    assert left == {str(kept), "young"}


async def test_other_vectors_than_before_are_refused(house: House) -> None:
    """A model that changed under its name can't be compared with what is there."""
    async with house.indexer():
        base = await house.base()
        await house.done(base, await house.add(base, WATER))
        house.embeddings.dimension *= 2
        (failed,) = await house.done(base, await house.add(base, BREAD))
    assert failed.error_code == "indexer.vectors_differ"
