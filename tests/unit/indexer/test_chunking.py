"""How texts are cut."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from penstock_indexer.domain.chunking import Cut, page_of, spans_of

TEXTS = st.text(alphabet="ab. \n\f!\u00e9\U0001f4a7", max_size=400)
CUTS = st.integers(4, 60).flatmap(lambda size: st.builds(Cut, st.just(size), st.integers(0, size // 2)))


def pieces(text: str, size: int, overlap: int = 0) -> list[str]:
    """The chunks' texts."""
    return [text[span.begins : span.ends] for span in spans_of(text, Cut(size, overlap))]


@given(TEXTS, CUTS)
def test_no_visible_character_is_lost(text: str, cut: Cut) -> None:
    """Every one is in some chunk; chunks are in order, never blank, never longer than allowed."""
    spans = list(spans_of(text, cut))
    covered = {place for span in spans for place in range(span.begins, span.ends)}
    assert all(place in covered or char.isspace() for place, char in enumerate(text))
    assert [s.begins for s in spans] == sorted({s.begins for s in spans})
    assert all(0 < s.ends - s.begins <= cut.size for s in spans)
    assert all(text[s.begins : s.ends] == text[s.begins : s.ends].strip() for s in spans)


@given(TEXTS, CUTS)
def test_chunks_repeat_no_more_than_told(text: str, cut: Cut) -> None:
    """The overlap is a bound."""
    spans = list(spans_of(text, cut))
    assert all(before.ends - after.begins <= cut.overlap for before, after in pairwise(spans))


def test_paragraphs_come_before_sentences_before_words() -> None:
    """The best boundary in a chunk's second half is taken."""
    assert pieces("One two. Three four.\n\nFive six. Seven", 30) == ["One two. Three four.", "Five six. Seven"]
    assert pieces("One two three. Four five six seven", 20) == ["One two three.", "Four five six seven"]
    assert pieces("One two three four five", 10) == ["One two", "three four", "five"]
    assert pieces("x" * 25, 10) == ["x" * 10, "x" * 10, "x" * 5]


def test_an_overlap_begins_at_a_boundary() -> None:
    """The next chunk repeats whole words."""
    assert pieces("One two three four five six", 14, 7) == ["One two three", "three four", "four five six"]


def test_a_chunk_has_the_page_that_it_begins_on() -> None:
    """Pages count from 1; without pages it is 0."""
    assert [page_of(place, [0, 10, 20]) for place in (0, 9, 10, 25)] == [1, 1, 2, 3]
    assert page_of(7, []) == 0
