"""One document on its way: parse, embed batch by batch, finish. Each step is kept before the next begins."""

from dataclasses import dataclass

from penstock_common.asking import AskFailed
from penstock_indexer.domain.errors import DocumentTooLong, EmbeddingUnavailable, ModelFailed
from penstock_indexer.metrics import CHUNKS
from penstock_indexer.ports import Ask, Batch, Claimed, Contents, Documents, Embedder, Parser

MAX_CHUNKS = 20_000  # of a document
BATCH = 32  # chunks a request
TURN = 8  # batches, then another document may come first
OUT_OF_TIME = "inference.deadline_passed"


@dataclass(frozen=True, slots=True)
class Steps:
    """What a document is taken through."""

    documents: Documents
    contents: Contents
    parser: Parser
    embedder: Embedder

    async def advance(self, claimed: Claimed) -> bool:
        """Work for one turn; whether the document is finished.

        Raises Superseded, DocumentRefused where no other attempt would end otherwise, and any other PenstockError.
        """
        if not claimed.is_parsed:
            await self._parse(claimed)
        for _ in range(TURN):
            batch = await self.documents.batch(claimed, BATCH)
            if not batch.numbers:
                await self.documents.finish(claimed)
                return True
            await self._embed(claimed, batch)
        return False

    async def _parse(self, claimed: Claimed) -> None:
        content = await self.contents.read(claimed)
        cut = (claimed.chunk_characters, claimed.overlap_characters)
        parsed = await self.parser.parse(content, claimed.media_type, *cut)
        if (found := len(parsed.chunks)) > MAX_CHUNKS:
            raise DocumentTooLong(f"The document makes {found:,} chunks, more than {MAX_CHUNKS:,}; upload it in parts.")
        await self.documents.store(claimed, parsed.chunks, parsed.pages)

    async def _embed(self, claimed: Claimed, batch: Batch) -> None:
        ask = await self.documents.ask(claimed, batch)
        try:
            vectors = await self.embedder.embed(claimed, ask, batch.texts)
        except AskFailed as error:
            await self.documents.drop_ask(claimed, ask, doubtful=_is_doubtful(error, ask))
            if error.passes:
                raise EmbeddingUnavailable(f"The model {claimed.model} gave no vectors: {error.message}") from error
            raise ModelFailed(f"The model {claimed.model} gave no vectors: {error.message}") from error
        await self.documents.store_vectors(claimed, batch, vectors)
        CHUNKS.inc(len(batch.numbers))


def _is_doubtful(error: AskFailed, ask: Ask) -> bool:
    """A recorded failure is what its id answers for ever. One that ran out of time may have succeeded: look once."""
    return error.failure_code == OUT_OF_TIME and not ask.is_doubtful
