"""The text of a PDF, page by page."""

import pypdfium2
import pypdfium2.raw

from penstock_indexer.domain.errors import DocumentEmpty, DocumentEncrypted, DocumentTooLong, DocumentUnreadable

HEAD = 1024  # bytes within which a reader looks for the header (ISO 32000-1, annex H)


def pages_of(content: bytes, max_pages: int, max_characters: int) -> list[str]:
    """The text of each page. Raises a DocumentRefused where there is none to be had."""
    if b"%PDF-" not in content[:HEAD]:
        raise DocumentUnreadable("The document is not a PDF: it lacks the header %PDF-.")
    try:
        document = pypdfium2.PdfDocument(content)
    except pypdfium2.PdfiumError as error:
        if getattr(error, "err_code", None) == pypdfium2.raw.FPDF_ERR_PASSWORD:
            raise DocumentEncrypted("The PDF is protected by a password; upload it without one.") from error
        raise DocumentUnreadable("The document is damaged: it can't be read as a PDF.") from error
    if len(document) > max_pages:
        raise DocumentTooLong(f"The PDF has {len(document)} pages, more than {max_pages}; upload it in parts.")
    pages: list[str] = []
    left = max_characters
    for number in range(len(document)):
        pages.append(_text(document, number))
        left -= len(pages[-1])
        if left < 0:
            raise DocumentTooLong(f"The PDF holds more than {max_characters:,} characters; upload it in parts.")
    if not any(page.strip() for page in pages):
        raise DocumentEmpty("The PDF holds no text, only pictures or drawings; upload one with a text layer.")
    return pages


def _text(document: pypdfium2.PdfDocument, number: int) -> str:
    """A damaged page is an empty one: the others may still be worth reading."""
    try:
        page = document[number]
        text = page.get_textpage()
        try:
            return str(text.get_text_bounded())
        finally:
            text.close()
            page.close()
    except pypdfium2.PdfiumError:
        return ""
