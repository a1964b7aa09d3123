"""How documents become text."""

import pytest

from penstock_indexer.domain.errors import DocumentEmpty, DocumentRefused, DocumentUnreadable
from penstock_indexer.parsing.read import read
from penstock_indexer.parsing.wire import Limits, Parsed, Task
from tests.support.pdfs import a_pdf

LIMITS = Limits(1 << 29, 10, 100_000, 100)


def parsed(content: bytes, media_type: str = "text/plain") -> Parsed:
    """In this process, with small chunks."""
    return read(Task(content, media_type, 200, 0, LIMITS))


def text_of(content: bytes, media_type: str = "text/plain") -> str:
    """The text of a document of one chunk."""
    (chunk,) = parsed(content, media_type).chunks
    return chunk.text


@pytest.mark.parametrize(
    "content",
    [
        "Grüße".encode(),
        b"\xef\xbb\xbf" + "Grüße".encode(),
        "\ufeffGrüße".encode("utf-16-le"),
        "Grüße".encode("cp1252"),
    ],
    ids=["utf-8", "marked", "utf-16", "windows"],
)
def test_texts_are_decoded(content: bytes) -> None:
    """By their mark, as UTF-8, else as Windows-1252."""
    assert text_of(content) == "Grüße"


def test_html_becomes_paragraphs() -> None:
    """Inline elements stay in their sentence, blocks are apart, code that nobody reads is left out."""
    page = b"""<!DOCTYPE html><html><head><title>House &amp; home</title><style>p{}</style></head><body>
        <script>alert("no")</script><h1>The <b>big</b> house</h1><p>One<br>two</p>
        <table><tr><td>a</td><td>b</td></tr></table></body></html>"""
    assert text_of(page, "text/html") == "House & home\n\nThe big house\n\nOne\ntwo\n\na b"


def test_html_may_declare_its_charset() -> None:
    """Where it is no UTF-8."""
    page = '<html><meta charset="koi8-r"><p>Вода</p>'.encode("koi8-r")
    assert text_of(page, "text/html") == "Вода"


def test_a_pdf_gives_its_pages() -> None:
    """A chunk knows its page, and where it stands in the whole text."""
    found = parsed(a_pdf("First page.", "Second page."), "application/pdf")
    assert found.pages == 2
    (chunk,) = found.chunks
    assert (chunk.page, chunk.text) == (1, "First page.\fSecond page.")


def test_offsets_are_those_of_the_text() -> None:
    """`text[begins:ends]` is the chunk, after line ends and blank lines were made even."""
    chunks = parsed(b"One.\r\n\r\n\r\n\r\n" + b"Two words here. " * 30).chunks
    even = "One.\n\n" + "Two words here. " * 30
    assert [chunk.text for chunk in chunks] == [even[chunk.begins : chunk.ends] for chunk in chunks]


@pytest.mark.parametrize(
    ("content", "media_type", "error"),
    [
        (b"", "text/plain", DocumentEmpty),
        (b"<p> </p>", "text/html", DocumentEmpty),
        (b"\x00\x01\x02" * 50, "text/plain", DocumentUnreadable),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "text/html", DocumentUnreadable),
        (b"Hello", "application/pdf", DocumentUnreadable),
        (b"%PDF-1.4", "application/pdf", DocumentUnreadable),
    ],
)
def test_what_is_no_text_is_refused(content: bytes, media_type: str, error: type[DocumentRefused]) -> None:
    """With a sentence that ends."""
    with pytest.raises(error, match=r"\.$"):
        parsed(content, media_type)
