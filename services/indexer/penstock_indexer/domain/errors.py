"""What may go wrong with documents and searches."""

from penstock_common.errors import Fault, PenstockError


class DocumentRefused(PenstockError):
    """The document can't be indexed as it is; its content would have to change."""

    code = "indexer.document_refused"
    fault = Fault.INVALID


class DocumentEmpty(DocumentRefused):
    """The document holds no text."""

    code = "indexer.document_empty"


class DocumentUnreadable(DocumentRefused):
    """The document is not what its type says, or it is damaged."""

    code = "indexer.document_unreadable"


class DocumentEncrypted(DocumentRefused):
    """The document is protected by a password; upload it without one."""

    code = "indexer.document_encrypted"


class DocumentTooLong(DocumentRefused):
    """The document holds more text than can be indexed; upload it in parts."""

    code = "indexer.document_too_long"


class ParserTooSlow(DocumentRefused):
    """Reading the document takes more computing than is allowed; upload it in parts."""

    code = "indexer.parser_too_slow"


class TypeUnsupported(DocumentRefused):
    """Documents of this type can't be read; text, Markdown, HTML and PDF can."""

    code = "indexer.type_unsupported"


class VectorsDiffer(DocumentRefused):
    """The embedding model answers with other vectors than those of this knowledge base; make another base for it."""

    code = "indexer.vectors_differ"


class ModelFailed(DocumentRefused):
    """The embedding model refused the document's text."""

    code = "indexer.model_failed"


class ContentMissing(DocumentRefused):
    """The uploaded content is gone; upload the document again."""

    code = "indexer.content_missing"


class ParserDied(PenstockError):
    """Reading the document took the parser's process down: it needs too much memory, or is built to do harm."""

    code = "indexer.parser_died"
    fault = Fault.UNAVAILABLE


class IndexingBroken(PenstockError):
    """Indexing the document ended without a result, several times; the indexer's log says more."""

    code = "indexer.indexing_broken"
    fault = Fault.UNAVAILABLE


class BaseUnknown(PenstockError):
    """The knowledge base of this document is not known yet."""

    code = "indexer.base_unknown"
    fault = Fault.UNAVAILABLE


class BaseNotFound(PenstockError):
    """This project has no such knowledge base."""

    code = "indexer.base_not_found"
    fault = Fault.MISSING


class EmbeddingUnavailable(PenstockError):
    """The embedding model does not answer; search by words meanwhile (`mode`: `words`), or try again."""

    code = "indexer.embedding_unavailable"
    fault = Fault.UNAVAILABLE


class SearchBroken(PenstockError):
    """The search failed inside of the indexer; its log says more. Try again shortly."""

    code = "indexer.search_broken"
    fault = Fault.UNAVAILABLE


class IndexNotReady(PenstockError):
    """The index of this knowledge base is being made anew; try again shortly."""

    code = "indexer.index_not_ready"
    fault = Fault.UNAVAILABLE


REFUSALS: dict[str, type[DocumentRefused]] = {
    kind.code: kind for kind in (DocumentEmpty, DocumentUnreadable, DocumentEncrypted, DocumentTooLong, TypeUnsupported)
}
"""What the parser's process may say, by code."""
