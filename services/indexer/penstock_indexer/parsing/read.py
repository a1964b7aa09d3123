"""A document's chunks from its bytes."""

from penstock_indexer.domain.chunking import Cut, page_of, spans_of
from penstock_indexer.domain.errors import DocumentEmpty, DocumentTooLong, TypeUnsupported
from penstock_indexer.parsing.plain import decoded, tidy
from penstock_indexer.parsing.wire import Chunk, Parsed, Task

PAGE_END = "\f"
HTML, PDF = "text/html", "application/pdf"
PLAIN = ("text/plain", "text/markdown")


def read(task: Task) -> Parsed:
    """The chunks of a document. Raises a DocumentRefused."""
    text, pages = _text_of(task)
    if len(text) > task.limits.characters:
        limit = task.limits.characters
        raise DocumentTooLong(f"The document holds {len(text):,} characters, more than {limit:,}; upload it in parts.")
    cut = Cut(task.chunk_characters, task.overlap_characters)
    chunks = [
        Chunk(span.begins, span.ends, page_of(span.begins, pages), text[span.begins : span.ends])
        for span in spans_of(text, cut)
    ]
    return Parsed(chunks, len(pages))


def _text_of(task: Task) -> tuple[str, list[int]]:
    """The text, and where each page of it begins."""
    if not task.content:
        raise DocumentEmpty("The document is empty.")
    if task.media_type == PDF:
        from penstock_indexer.parsing.pdf import pages_of  # noqa: PLC0415 (a parser is loaded where it is needed)

        return _joined(pages_of(task.content, task.limits.pages, task.limits.characters))
    if task.media_type == HTML:
        from penstock_indexer.parsing.html import text_of  # noqa: PLC0415 (as above)

        return tidy(text_of(task.content)), []
    if task.media_type in PLAIN:
        return tidy(decoded(task.content)), []
    raise TypeUnsupported(f"Documents of the type {task.media_type[:80]!r} can't be read.")


def _joined(pages: list[str]) -> tuple[str, list[int]]:
    """One text, a form feed after each page, and where each page begins."""
    text, starts, length = [], [], 0
    for page in pages:
        plain = (tidy(page) if page.strip() else "") + PAGE_END
        starts.append(length)
        text.append(plain)
        length += len(plain)
    return "".join(text), starts
