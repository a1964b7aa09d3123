"""Timings that can't be are refused by a sentence; no other error comes out."""

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_common.contracts.schedules import Cadence, PreviewTiming, Timing
from penstock_scheduler.domain.errors import ImpossibleTiming
from penstock_scheduler.domain.preview import preview
from penstock_scheduler.domain.refusals import check
from tests.support.scheduling import NOON, every, once

NAIVE = NOON.replace(tzinfo=None)


def cron(expression: str, zone: str = "UTC", **changes: Any) -> Timing:
    return Timing(Cadence.CRON, expression, zone, **changes)


IMPOSSIBLE = [
    (cron("0 0 31 2 *"), "cron", "'31' is a day that no month of '2' has"),
    (cron("0 0 30 2 *"), "cron", "'30' is a day that no month"),
    (cron("* * * * * *"), "cron", "none for seconds"),
    (cron("@reboot"), "cron", "'@reboot'"),
    (cron("@daily"), "cron", "minute hour day-of-month month day-of-week"),
    (cron("61 * * * *"), "cron", "'61' is no minute"),
    (cron("0 0 * * MOO"), "cron", "'MOO' is no day-of-week"),
    (cron("* * * *"), "cron", "4 fields instead of five"),
    (cron(""), "cron", "0 fields"),
    (cron("0 " * 101), "cron", "at most 200"),
    (cron("0 0 \u0661 * *"), "cron", "ASCII"),
    (cron("0 0 1 * *", every_seconds=5), "every_seconds", "leave one out"),
    (cron("0 0 * * *", "Europe/Berln"), "zone", "did you mean Europe/Berlin?"),
    (cron("0 0 * * *", "europe/berlin"), "zone", "did you mean Europe/Berlin?"),
    (cron("0 0 * * *", "America"), "zone", "is no time zone"),
    (cron("0 0 * * *", "../../etc/passwd"), "zone", "is no time zone"),
    (cron("0 0 * * *", "right/UTC"), "zone", "is no time zone"),
    (cron("0 0 * * *", "x" * 5000), "zone", "is no time zone"),
    (cron("0 0 * * *", end_at=NOON), "end_at", "lies in the past"),
    (cron("0 0 1 1 *", end_at=NOON + timedelta(days=1)), "end_at", "before the first moment"),
    (cron("0 0 * * *", start_at=NOON + timedelta(days=400)), "start_at", "more than a year"),
    (cron("0 0 * * *", start_at=NAIVE), "start_at", "needs an offset"),
    (every(60, start_at=datetime.fromisoformat("0001-01-01T00:00:00+14:00")), "start_at", "from 1970"),
    (cron("0 0 * * *", end_at=datetime.fromisoformat("9999-12-31T23:59:59-14:00")), "end_at", "from 1970"),
    (every(4, start_at=NOON), "every_seconds", "from 5 to"),
    (every(-5, start_at=NOON), "every_seconds", "from 5 to"),
    (every(40_000_000, start_at=NOON), "every_seconds", "from 5 to"),
    (every(60, start_at=NOON, cron="* * * * *"), "cron", "leave one out"),
    (once(NOON - timedelta(minutes=2)), "start_at", "lies in the past"),
    (once(NOON + timedelta(days=400)), "start_at", "more than a year"),
    (once(NAIVE), "start_at", "needs an offset"),
    (Timing(Cadence.ONCE), "start_at", "is missing"),
    (Timing(Cadence.ONCE, start_at=NOON, end_at=NOON + timedelta(days=1)), "end_at", "no sense"),
    (Timing(Cadence.ONCE, cron="* * * * *", start_at=NOON), "start_at", "neither"),
]


@pytest.mark.parametrize(("timing", "field", "words"), IMPOSSIBLE)
def test_what_can_not_be_is_refused(timing: Timing, field: str, words: str) -> None:
    """The sentence says what is wrong, the context names the field."""
    with pytest.raises(ImpossibleTiming) as caught:
        check(timing, NOON)
    assert words in caught.value.message
    assert caught.value.context["field"] == field


def test_what_can_be_is_not_refused() -> None:
    """Rare dates, a moment of a while ago, and a beat that began long ago."""
    for timing in (
        cron("0 0 29 2 *"),
        cron("*/5 8-18 * * MON-FRI", "Europe/Berlin"),
        once(NOON - timedelta(seconds=59)),
        every(5, start_at=NOON - timedelta(days=4000)),
        cron("0 0 * * *", start_at=NOON - timedelta(days=4000)),
    ):
        check(timing, NOON)


TEXT = st.text(st.characters(codec="utf-8"), max_size=40) | st.from_regex(r"([0-9*/,L#W-]{1,6} ){4}[0-9*/,L#-]{1,6}")
OFFSETS = st.integers(-14, 14).map(lambda hours: timezone(timedelta(hours=hours)))
TIMES = st.datetimes(timezones=OFFSETS) | st.datetimes() | st.none()


@given(
    st.builds(
        Timing,
        st.sampled_from(Cadence),
        TEXT,
        st.sampled_from(["UTC", "Europe/Berlin", "Australia/Lord_Howe"]) | TEXT,
        st.integers(-(2**62), 2**62) | st.just(60),
        TIMES,
        TIMES,
    ),
    TIMES,
    st.integers(-5, 500),
)
def test_any_timing_gets_moments_or_a_sentence(timing: Timing, after: datetime | None, count: int) -> None:
    """Never an error, and never both."""
    answer = preview(PreviewTiming(timing=timing, after=after, count=count), NOON)
    assert bool(answer.moments) <= (not answer.problem)
    assert len(answer.moments) <= 100


def test_a_preview_marks_what_the_clock_does() -> None:
    """Local times with their offset, and the note."""
    spring = datetime.fromisoformat("2026-03-28T12:00:00+00:00")
    question = PreviewTiming(timing=cron("30 2 * * *", "Europe/Berlin"), after=spring, count=2)
    shown = [(moment.local, moment.note) for moment in preview(question, NOON).moments]
    assert shown == [("2026-03-29T03:00:00+02:00", "skipped"), ("2026-03-30T02:30:00+02:00", "")]
    assert preview(PreviewTiming(timing=cron("0 0 31 2 *")), NOON).problem
