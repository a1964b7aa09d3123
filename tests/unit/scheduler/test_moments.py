"""Moments around the changes of clocks, and the arithmetic of intervals."""

from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_common.contracts.schedules import Cadence, Timing
from penstock_scheduler.domain.moments import INSTANT, first, moments, newest
from penstock_scheduler.domain.zones import zone_of
from tests.support.scheduling import NOON, every, once

BERLIN, NEW_YORK, LORD_HOWE = "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"


def local(cron: str, zone: str, begin: datetime, count: int) -> list[str]:
    """The next moments as the zone's clock shows them, with their notes."""
    found = islice(moments(Timing(Cadence.CRON, cron, zone), begin), count)
    return [f"{due.at.astimezone(zone_of(zone)):%d %H:%M%z} {due.note}".rstrip() for due in found]


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type, misc]


CLOCK_CHANGES = [
    # (expression, zone, begin, what comes)
    ("30 2 * * *", BERLIN, utc(2026, 3, 28, 12), ["29 03:00+0200 skipped", "30 02:30+0200"]),
    ("30 1 * * *", NEW_YORK, utc(2026, 10, 31, 12), ["01 01:30-0400 repeated", "02 01:30-0500"]),
    ("45 1 * * *", LORD_HOWE, utc(2026, 4, 4, 0), ["05 01:45+1100 repeated", "06 01:45+1030"]),
    ("15 2 * * *", LORD_HOWE, utc(2026, 10, 3, 0), ["04 02:30+1100 skipped", "05 02:15+1100"]),
    # two times of one gap are one moment
    ("0,30 2 * * *", BERLIN, utc(2026, 3, 28, 12), ["29 03:00+0200 skipped", "30 02:00+0200"]),
    # and it is one moment with a time that exists
    ("30 2,3 * * *", BERLIN, utc(2026, 3, 28, 12), ["29 03:00+0200 skipped", "29 03:30+0200", "30 02:30+0200"]),
    # what runs every so often follows real time, in both hours
    (
        "*/30 * * * *",
        BERLIN,
        utc(2026, 10, 25, 0),
        ["25 02:30+0200 repeated", "25 02:00+0100 repeated", "25 02:30+0100 repeated", "25 03:00+0100"],
    ),
    ("*/30 * * * *", BERLIN, utc(2026, 3, 29, 0), ["29 01:30+0100", "29 03:00+0200"]),
    # a whole day that a zone left out
    ("0 12 30 12 *", "Pacific/Apia", utc(2011, 12, 1), ["31 00:00+1400 skipped", "30 12:00+1400"]),
]


@pytest.mark.parametrize(("cron", "zone", "begin", "expected"), CLOCK_CHANGES)
def test_clock_changes(cron: str, zone: str, begin: datetime, expected: list[str]) -> None:
    """A skipped time is made up for at the end of the gap, a repeated one counts once."""
    assert local(cron, zone, begin, len(expected)) == expected


@pytest.mark.parametrize(("cron", "zone", "begin", "expected"), CLOCK_CHANGES)
def test_moments_do_not_depend_on_where_one_looks_from(
    cron: str, zone: str, begin: datetime, expected: list[str]
) -> None:
    """Also from inside a gap or a repeated hour: a process that starts there fires the same ticks."""
    timing = Timing(Cadence.CRON, cron, zone)
    known = [due.at for due in islice(moments(timing, begin), 120)]
    for minutes in range(0, 48 * 60, 7):
        after = begin + timedelta(minutes=minutes)
        assert first(timing, after) == next(at for at in known if at > after)


def test_an_expression_is_due_as_cron_has_it() -> None:
    """Names, lists and steps; days of month and week together mean either."""
    assert local("0 9 1 * MON", "UTC", utc(2026, 11, 21), 3) == ["23 09:00+0000", "30 09:00+0000", "01 09:00+0000"]
    assert local("0 0 29 2 *", "UTC", utc(2026, 1, 1), 1) == ["29 00:00+0000"]
    assert local("59 23 L * *", "UTC", utc(2026, 2, 1), 1) == ["28 23:59+0000"]


def test_start_and_end_are_included() -> None:
    """Both of them, for every kind."""
    minutely = Timing(Cadence.CRON, "* * * * *", start_at=NOON, end_at=NOON + timedelta(minutes=2))
    assert [due.at.minute for due in moments(minutely, NOON - timedelta(days=1))] == [0, 1, 2]
    five = every(5, start_at=NOON, end_at=NOON + timedelta(seconds=10))
    assert [due.at.second for due in moments(five, NOON - timedelta(days=1))] == [0, 5, 10]
    assert [due.at for due in moments(once(NOON), NOON - INSTANT)] == [NOON]
    assert first(once(NOON), NOON) is None


@given(st.integers(5, 10_000), st.integers(0, 10**9), st.integers(1, 50))
def test_intervals_keep_their_beat(seconds: int, offset: int, count: int) -> None:
    """The moments after any time are those of the beat, and the newest are the last of them."""
    timing, after = every(seconds, start_at=NOON), NOON + timedelta(milliseconds=offset)
    found = [due.at for due in islice(moments(timing, after), 3)]
    assert all((at - NOON) % timedelta(seconds=seconds) == timedelta() for at in found)
    assert timedelta() < found[0] - after <= timedelta(seconds=seconds)
    last = newest(timing, NOON, after, count)
    assert last == [found[0] - n * timedelta(seconds=seconds) for n in range(len(last), 0, -1)]
    assert len(last) == min(count, (after - NOON) // timedelta(seconds=seconds) + 1)


@pytest.mark.parametrize("cron", ["* * * * *", "0 3 * * *", "30 2 * * SUN", "0 0 1 1 *"])
def test_the_newest_are_the_last_of_all(cron: str) -> None:
    """However long nobody looked."""
    timing, since, until = Timing(Cadence.CRON, cron, BERLIN), utc(2024, 1, 1), utc(2024, 4, 2)
    everything = [due.at for due in takewhile(lambda due: due.at <= until, moments(timing, since - INSTANT))]
    assert newest(timing, since, until, 100) == everything[-100:]
