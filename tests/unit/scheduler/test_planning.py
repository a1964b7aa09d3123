"""What fires after a while in which nobody looked."""

from datetime import datetime, timedelta

import pytest

from penstock_common.contracts.schedules import Misfire, Timing
from penstock_scheduler.domain.planning import AT_ONCE, COUNTED, Known, next_after_saving, plan
from tests.support.scheduling import ALL, EVERY_MINUTE, LATEST, NOON, SKIP, every, once

TEN_MINUTES = timedelta(minutes=10)


def minutes(*numbers: int) -> list[datetime]:
    return [NOON + timedelta(minutes=number) for number in numbers]


@pytest.mark.parametrize("misfire", Misfire)
def test_a_tick_on_time_fires_whatever_the_policy(misfire: Misfire) -> None:
    """Within the grace it is late, not missed."""
    planned = plan(EVERY_MINUTE, misfire, NOON, NOON + timedelta(seconds=59))
    assert (planned.fires, planned.dropped, planned.next_at) == ([NOON], 0, *minutes(1))


@pytest.mark.parametrize(
    ("misfire", "fires", "dropped"),
    [(SKIP, minutes(9, 10), 9), (LATEST, minutes(10), 10), (ALL, minutes(*range(11)), 0)],
)
def test_the_policy_decides_on_what_was_missed(misfire: Misfire, fires: list[datetime], dropped: int) -> None:
    """None, the last, or each; those still within the grace were not missed."""
    planned = plan(EVERY_MINUTE, misfire, NOON, NOON + TEN_MINUTES)
    assert (planned.fires, planned.dropped, planned.next_at) == (fires, dropped, *minutes(11))


def test_a_long_absence_is_caught_up_to_a_bound() -> None:
    """The newest fire, and the number of the others is told up to another bound."""
    planned = plan(EVERY_MINUTE, ALL, NOON, NOON + timedelta(minutes=150))
    assert (planned.fires, planned.dropped) == (minutes(*range(51, 151)), 51)
    year = plan(EVERY_MINUTE, ALL, NOON, NOON + timedelta(days=365))
    assert (len(year.fires), year.dropped) == (AT_ONCE, COUNTED)
    assert year.fires[-1] == NOON + timedelta(days=365)


def test_a_missed_one_shot_fires_unless_it_is_to_be_skipped() -> None:
    """Late is better than never, where nothing else was asked for; afterwards nothing is due."""
    for misfire, fires in ((ALL, [NOON]), (LATEST, [NOON]), (SKIP, [])):
        planned = plan(once(NOON), misfire, NOON, NOON + TEN_MINUTES)
        assert (planned.fires, planned.dropped, planned.next_at) == (fires, 1 - len(fires), None)


def test_nothing_is_due_after_the_end() -> None:
    """The last tick leaves no next moment."""
    timing = every(60, start_at=NOON, end_at=NOON + timedelta(minutes=2))
    planned = plan(timing, ALL, NOON, NOON + TEN_MINUTES)
    assert (planned.fires, planned.next_at) == (minutes(0, 1, 2), None)


SAVED = NOON + timedelta(seconds=30)


@pytest.mark.parametrize(
    ("known", "timing", "is_paused", "expected"),
    [
        (None, EVERY_MINUTE, False, minutes(1)[0]),
        (None, EVERY_MINUTE, True, None),
        (None, once(NOON), False, NOON),
        (None, once(NOON - TEN_MINUTES), False, None),
        (Known(EVERY_MINUTE, False, NOON - TEN_MINUTES), EVERY_MINUTE, False, NOON - TEN_MINUTES),
        (Known(EVERY_MINUTE, False, NOON - TEN_MINUTES), EVERY_MINUTE, True, None),
        (Known(EVERY_MINUTE, True, None), EVERY_MINUTE, False, minutes(1)[0]),
        (Known(EVERY_MINUTE, False, NOON - TEN_MINUTES), every(60, start_at=NOON), False, minutes(1)[0]),
    ],
    ids=["new", "new, paused", "just past", "past", "same timing", "pause", "resume", "new timing"],
)
def test_when_a_saved_schedule_is_due(
    known: Known | None, timing: Timing, is_paused: bool, expected: datetime | None
) -> None:
    """What was due before goes on unless the timing changed; paused time is not caught up."""
    assert next_after_saving(timing, is_paused, SAVED, known) == expected
