"""In which order the embedding process works."""

from hypothesis import given
from hypothesis import strategies as st

from penstock_inference.adapters.engines.minilm.shelf import BATCH_TOKENS, Job, Shelf, batched

LONG = [1] * 256


def a_job(id_: int, texts: int) -> Job:
    """A job of as many long texts, two to a batch."""
    return Job(id_, [LONG] * texts)


def order(shelf: Shelf, turns: int) -> list[int]:
    """Whose batches come next."""
    return [shelf.next().job.id for _ in range(turns)]


@given(st.lists(st.integers(1, 300), min_size=1, max_size=60))
def test_every_text_is_in_one_small_batch(lengths: list[int]) -> None:
    """A batch is no larger than its bound, unless it is one text."""
    batches = batched([[1] * length for length in lengths])
    assert sorted(place for batch in batches for place in batch) == list(range(len(lengths)))
    assert all(len(batch) == 1 or len(batch) * max(lengths[p] for p in batch) <= BATCH_TOKENS for batch in batches)


def test_jobs_take_turns() -> None:
    """A large job doesn't hold up a small one."""
    shelf = Shelf()
    shelf.add(a_job(1, 6))
    shelf.add(a_job(2, 2))
    assert order(shelf, 4) == [1, 2, 1, 1]


def test_what_was_dropped_is_not_worked_on() -> None:
    """The rest is."""
    shelf = Shelf()
    for id_ in (1, 2, 3):
        shelf.add(a_job(id_, 2))
    shelf.drop(1)
    shelf.drop(2)
    assert order(shelf, 1) == [3]
