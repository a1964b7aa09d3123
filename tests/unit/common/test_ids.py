"""Ids tell when they were made."""

from datetime import UTC, date, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_common.ids import day_of, time_of, uuid7, uuid7_texts

VERSION_4 = "919614f8-8606-47da-8b71-70d55580eac2"
MIDNIGHT_MS = 1_767_225_600_000  # 2026-01-01T00:00:00Z


@given(st.integers(0, 2**47))
def test_it_is_a_uuid7_of_its_time(ms: int) -> None:
    """RFC 9562: version 7, variant 10, the first 48 bits are Unix milliseconds."""
    made = uuid7(ms)
    assert (made.version, made.variant, made.int >> 80) == (7, UUID(int=2**63).variant, ms)


def test_now_is_the_default() -> None:
    """To the millisecond."""
    assert abs((time_of(uuid7()) - datetime.now(UTC)).total_seconds()) < 1


def test_ids_of_one_millisecond_differ() -> None:
    """74 bits are random."""
    assert len({uuid7(MIDNIGHT_MS) for _ in range(1000)}) == 1000


def test_many_as_text_are_uuid7s_of_now() -> None:
    """In canonical text, each another one; every variant that RFC 9562 allows comes up."""
    texts = uuid7_texts(1000)
    made = [UUID(text) for text in texts]
    assert [str(id_) for id_ in made] == texts
    assert {(id_.version, id_.variant) for id_ in made} == {(7, UUID(int=2**63).variant)}
    assert {text[19] for text in texts} == set("89ab")
    assert len(set(made)) == 1000
    assert max(abs((time_of(id_) - datetime.now(UTC)).total_seconds()) for id_ in made) < 1


@pytest.mark.parametrize(("ms", "day"), [(MIDNIGHT_MS - 1, date(2025, 12, 31)), (MIDNIGHT_MS, date(2026, 1, 1))])
@pytest.mark.parametrize("suffix", ["", ".completed", ".2.lost"])
def test_day_is_utc_whatever_follows(ms: int, day: date, suffix: str) -> None:
    """A message id may have a suffix; its partition is its first part's day."""
    assert day_of(f"{uuid7(ms)}{suffix}") == day


@pytest.mark.parametrize("garbage", ["", "x", "completed", VERSION_4, f"{VERSION_4}.completed", "0" * 36])
def test_garbage_has_no_day(garbage: str) -> None:
    """An id without a time is refused: its partition would be anyone's guess."""
    with pytest.raises(ValueError, match=r"badly formed|does not begin with a uuid7"):
        day_of(garbage)
