"""Bytes as text."""

import codecs
import re

from penstock_indexer.domain.errors import DocumentEmpty, DocumentUnreadable

BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")
RUBBISH = 0.01  # share of control characters that no text has
SPACES = re.compile(r"[^\S\n\f]+(?=\n)")
BLANK_LINES = re.compile(r"\n{3,}")


def decoded(content: bytes, declared: str = "") -> str:
    """The text: by its byte order mark, as UTF-8, by what it declares, else as Windows-1252.

    Raises DocumentUnreadable for what is no text at all.
    """
    for bom, encoding in BOMS:
        if content.startswith(bom):
            return _checked(content[len(bom) :].decode(encoding, "replace"))
    for encoding in ("utf-8", declared):
        try:
            return _checked(content.decode(encoding or "ascii"))
        except (UnicodeError, LookupError):
            continue
    return _checked(content.decode("cp1252", "replace"))


def tidy(text: str) -> str:
    """Line ends as \\n, no control characters, no white space at the ends of lines, at most one blank line.

    Raises DocumentEmpty where nothing is left.
    """
    plain = CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n").replace("\xa0", " "))
    plain = BLANK_LINES.sub("\n\n", SPACES.sub("", plain))
    if not plain.strip():
        raise DocumentEmpty("The document holds no text.")
    return plain.encode("utf-8", "replace").decode()


def _checked(text: str) -> str:
    if len(CONTROL.findall(text)) > RUBBISH * len(text):
        raise DocumentUnreadable("The document is no text: it holds control characters or binary data.")
    return text
