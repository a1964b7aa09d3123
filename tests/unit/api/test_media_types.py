"""What an upload is."""

import pytest

from penstock_api.domain.media_types import (
    HTML,
    MARKDOWN,
    PDF,
    TEXT,
    DocumentEmpty,
    DocumentTypeUnsupported,
    media_type_of,
)


@pytest.mark.parametrize(
    ("content", "name", "expected"),
    [
        (b"%PDF-1.7", "x.txt", PDF),
        (b"junk before\n%PDF-1.4", "", PDF),
        (b"  <!DOCTYPE HTML><p>", "x.txt", HTML),
        (b"\xef\xbb\xbf<html>", "x", HTML),
        (b"<p>part of a page</p>", "x.HTM", HTML),
        (b"# Title", "README.md", MARKDOWN),
        (b"# Title", "x", TEXT),
        ("\ufeffwide".encode("utf-16"), "x.txt", TEXT),
        (b"not a PDF at all", "x.pdf", TEXT),
    ],
)
def test_the_content_decides(content: bytes, name: str, expected: str) -> None:
    """The name only tells texts apart."""
    assert media_type_of(content, name) == expected


def test_what_nobody_can_read_is_refused() -> None:
    """Binary formats and nothing at all, by name."""
    with pytest.raises(DocumentTypeUnsupported, match=r"letter\.docx"):
        media_type_of(b"PK\x03\x04\x14\x00\x00", "letter.docx")
    with pytest.raises(DocumentEmpty, match=r"nothing\.txt"):
        media_type_of(b" \n", "nothing.txt")
