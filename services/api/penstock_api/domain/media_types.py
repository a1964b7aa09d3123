"""What an uploaded document is: its content decides, its name only tells texts apart. No client's word is taken."""

from penstock_common.errors import Fault, PenstockError

PDF, HTML, MARKDOWN, TEXT = "application/pdf", "text/html", "text/markdown", "text/plain"
HEAD = 1024  # bytes that are looked at
HTML_STARTS = (b"<!doctype html", b"<html", b"<head", b"<body")
HTML_NAMES, MARKDOWN_NAMES = (".html", ".htm", ".xhtml"), (".md", ".markdown")
UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
UTF8_MARK = b"\xef\xbb\xbf"


class DocumentEmpty(PenstockError):
    """The document is empty; send its content."""

    code = "api.document_empty"
    fault = Fault.INVALID


class DocumentTypeUnsupported(PenstockError):
    """This kind of document can't be indexed; text, Markdown, HTML and PDF can."""

    code = "api.document_type_unsupported"
    fault = Fault.INVALID


def media_type_of(content: bytes, name: str) -> str:
    """One of the four types that can be indexed. Raises DocumentEmpty, DocumentTypeUnsupported."""
    if not content.strip():
        raise DocumentEmpty(f"The document {name[:80]!r} is empty; send its content.")
    head = content[:HEAD]
    if b"%PDF-" in head:
        return PDF
    if b"\0" in head and not content.startswith(UTF16_MARKS):
        raise DocumentTypeUnsupported(
            f"The document {name[:80]!r} is binary and no PDF; text, Markdown, HTML and PDF can be indexed."
        )
    if head.removeprefix(UTF8_MARK).lstrip().lower().startswith(HTML_STARTS) or name.lower().endswith(HTML_NAMES):
        return HTML
    return MARKDOWN if name.lower().endswith(MARKDOWN_NAMES) else TEXT
