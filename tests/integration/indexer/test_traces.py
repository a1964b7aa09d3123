"""Whose trace a document's way belongs to, on both buses: the headers of what is said of it tell."""

import pytest

from penstock_common.contracts.documents import DocumentState, RetryDocument
from penstock_common.contracts.stream import Failure
from penstock_common.messaging.envelope import CONTEXT, Context
from tests.support.indexing import TENANT, House, eventually

pytestmark = pytest.mark.integration

SAID = """
select headers->>'traceparent', count(*) from indexer.outbox where subject = 'indexer.document.changed.v1' group by 1
"""
UPLOAD, RETRY = (f"00-{digit * 32}-{digit * 16}-01" for digit in "ab")


async def test_a_document_belongs_to_what_asked_for_it_last(house: House) -> None:
    """Taken up, parsed, failed: the upload's; queued again, taken up, indexed: the retry's."""
    house.embeddings.failures.append(Failure("inference.model_unknown", "missing", "There is no such model."))
    async with house.indexer():
        base = await house.base()
        token = CONTEXT.set(Context(traceparent=UPLOAD))
        document = await house.add(base, b"A penstock is a pipe.")
        await house.done(base, document)
        CONTEXT.set(Context(traceparent=RETRY))
        await house.send(RetryDocument(document_id=document, base_id=base, tenant=TENANT))
        CONTEXT.reset(token)

        async def is_indexed() -> bool:
            return (await house.documents(base))[0].state is DocumentState.INDEXED

        await eventually(is_indexed)
    assert sorted(await house.fetch(SAID)) == [(UPLOAD, 3), (RETRY, 3)]
