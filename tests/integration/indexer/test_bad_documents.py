"""Documents that can't be indexed, and what else goes wrong: said with a code, and the service goes on."""

import pytest

from penstock_common.contracts.documents import DocumentState, RetryDocument, SearchMode
from penstock_common.contracts.stream import Failure
from tests.support.indexing import TENANT, House, eventually
from tests.support.pdfs import a_pdf, encrypted_pdf

pytestmark = pytest.mark.integration

BAD = {
    "indexer.document_empty": (b" \n\t", "text/plain"),
    "indexer.document_unreadable": (bytes(range(256)) * 50, "text/plain"),
    "indexer.type_unsupported": (b"PK\x03\x04", "application/zip"),
    "indexer.document_encrypted": (encrypted_pdf(), "application/pdf"),
    "indexer.document_too_long": (b"long. " * 2000, "text/plain"),
}
LIMITS = {"parser": {"seconds": 2, "memory_mb": 128, "characters": 10_000, "pages": 5}}


async def test_what_can_not_be_read_says_so(house: House) -> None:
    """Each with its code and a sentence, at the first attempt; what comes after is indexed."""
    async with house.indexer(**LIMITS):
        base = await house.base()
        ids = [await house.add(base, content, "x", kind) for content, kind in BAD.values()]
        pages = await house.add(base, a_pdf(*["Page."] * 6), "long.pdf", "application/pdf")
        pictures = await house.add(base, a_pdf("", ""), "empty.pdf", "application/pdf")
        rubbish = await house.add(base, b"%PDF-1.7 and rubbish", "bad.pdf", "application/pdf")
        fine = await house.add(base, b"A penstock is a pipe.")
        shown = await house.done(base, *ids, pages, pictures, rubbish, fine)
    expected = [*BAD, "indexer.document_too_long", "indexer.document_empty", "indexer.document_unreadable", ""]
    assert [d.error_code for d in shown] == expected
    assert all(d.error.endswith(".") and d.attempts == 1 for d in shown[:-1])
    assert shown[-1].state is DocumentState.INDEXED


async def test_a_bomb_takes_its_parser_only(house: House) -> None:
    """Deeply nested HTML eats memory or time in the child; the service stays, and the document fails."""
    async with house.indexer(**LIMITS) as app:
        base = await house.base()
        bomb = await house.add(base, b"<div>" * 1_000_000, "bomb.html", "text/html")
        fine = await house.add(base, b"A penstock is a pipe.")
        after, failed = await house.done(base, fine, bomb, seconds=90)
        assert (after.state, failed.state) == (DocumentState.INDEXED, DocumentState.FAILED)
        assert failed.error_code in {"indexer.parser_too_slow", "indexer.parser_died"}
        assert (await app.checks())["started"]


async def test_a_child_that_dies_is_counted(house: House) -> None:
    """Memory runs out: three attempts, then it is given up."""
    async with house.indexer(parser={"seconds": 20, "memory_mb": 64, "characters": 100_000_000}):
        base = await house.base()
        bomb = await house.add(base, b"<b>" * 1_900_000 + b"x", "bomb.html", "text/html")
        (failed,) = await house.done(base, bomb, seconds=60)
    assert (failed.state, failed.error_code, failed.attempts) == (DocumentState.FAILED, "indexer.parser_died", 3)


async def test_a_model_that_refuses_fails_the_document(house: House) -> None:
    """With its sentence; tried again, a new request is asked, and the chunks are kept from before."""
    house.embeddings.failures.append(Failure("inference.model_unknown", "missing", "There is no such model."))
    async with house.indexer():
        base = await house.base()
        document = await house.add(base, b"A penstock is a pipe.")
        (failed,) = await house.done(base, document)
        assert (failed.error_code, "There is no such model." in failed.error) == ("indexer.model_failed", True)
        await house.send(RetryDocument(document_id=document, base_id=base, tenant=TENANT))

        async def is_indexed() -> bool:
            (shown,) = await house.documents(base)
            return shown.state is DocumentState.INDEXED

        await eventually(is_indexed)
    assert len(house.embeddings.recorded) == 2


async def test_a_model_that_is_away_only_delays(house: House) -> None:
    """Why the document waits is shown meanwhile; it costs no attempt."""
    house.embeddings.failures.append(Failure("inference.engine_away", "unavailable", "The engine is away."))
    async with house.indexer():
        base = await house.base()
        document = await house.add(base, b"A penstock is a pipe.")

        async def says_why() -> bool:
            shown = await house.documents(base)
            return bool(shown) and shown[0].error_code == "indexer.embedding_unavailable"

        await eventually(says_why)
        (shown,) = await house.done(base, document)
    assert (shown.state, shown.error_code, shown.attempts) == (DocumentState.INDEXED, "", 1)


async def test_content_that_is_gone_is_said(house: House) -> None:
    """Nothing can be read where nothing is."""
    async with house.indexer():
        base = await house.base()
        document = await house.add(base, b"A penstock.", object_is_lost=True)
        (failed,) = await house.done(base, document)
    assert failed.error_code == "indexer.content_missing"


async def test_a_search_without_the_model_says_so(house: House) -> None:
    """By words it goes on."""
    async with house.indexer():
        base = await house.base()
        await house.done(base, await house.add(base, b"A penstock is a pipe."))
        house.embeddings.failures.append(Failure("inference.engine_away", "unavailable", "The engine is away."))
        refused = await house.search(base, "pipe")
        found = await house.search(base, "pipe", mode=SearchMode.WORDS)
    assert (refused.error_code, refused.chunks) == ("indexer.embedding_unavailable", [])
    assert len(found.chunks) == 1
