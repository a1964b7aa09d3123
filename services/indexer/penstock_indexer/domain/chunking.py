"""Cuts a text into chunks that overlap, at the ends of paragraphs, sentences or words where there are any."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

PARAGRAPH = re.compile(r"\n\n|\f")
SENTENCE = re.compile(r"[.!?\u2026\u3002\uff01\uff1f][\"'\u201d\u2019\u00bb)\]]{0,3}(?=\s)|\n")
WORD = re.compile(r"\s")
BOUNDARIES = (PARAGRAPH, SENTENCE, WORD)
"""The best first."""


@dataclass(frozen=True, slots=True)
class Span:
    """Where a chunk stands: `text[begins:ends]` is the chunk. Characters (code points), not bytes."""

    begins: int
    ends: int


@dataclass(frozen=True, slots=True)
class Cut:
    """How large chunks are, and how much of one the next repeats, in characters."""

    size: int
    overlap: int


def spans_of(text: str, cut: Cut) -> Iterator[Span]:
    """The chunks of a text in order, none of them blank; what lies between two is white space only."""
    position, length = _skip(text, 0), len(text)
    while position < length:
        end = length if length - position <= cut.size else _end(text, position, cut.size)
        yield Span(position, position + len(text[position:end].rstrip()))
        if end >= length:
            return
        position = max(_skip(text, _resume(text, position, end, cut.overlap)), position + 1)


def page_of(begins: int, pages: Sequence[int]) -> int:
    """The page, from 1, that a character stands on; `pages` has the first character of each. 0 without pages."""
    return sum(1 for first in pages if first <= begins)


def _end(text: str, position: int, size: int) -> int:
    """Where a chunk that begins here ends: at the best boundary in its second half, else at its full size."""
    middle, limit = position + size // 2, position + size
    for boundary in BOUNDARIES:
        last = 0
        for found in boundary.finditer(text, middle, limit + 1):  # white space behind the chunk is cut off again
            last = found.end()
        if last:
            return last
    return limit


def _resume(text: str, begun: int, end: int, overlap: int) -> int:
    """Where the next chunk begins: after the first sentence or word that ends in the overlap, else at its start."""
    earliest = max(end - overlap, begun + 1)
    for boundary in (SENTENCE, WORD):
        found = boundary.search(text, earliest, end)
        if found and found.end() < end:
            return found.end()
    return earliest if overlap else end


def _skip(text: str, position: int) -> int:
    """The first character from here that is no white space."""
    found = _VISIBLE.search(text, position)
    return found.start() if found else len(text)


_VISIBLE = re.compile(r"\S")
