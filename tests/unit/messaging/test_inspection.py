"""When a consumer counts as stuck: two looks at one lane."""

import pytest

from penstock_common.messaging.inspection import LaneState


@pytest.mark.parametrize(
    ("earlier", "now", "stuck"),
    [
        (LaneState(0, receivers=1, settled=5), LaneState(0, receivers=1, settled=5), False),
        (LaneState(3, settled=5), LaneState(3, settled=5), True),
        (LaneState(3, receivers=1, settled=5), LaneState(9, receivers=1, settled=5), True),
        (LaneState(3, settled=5), LaneState(9, settled=6), False),
        (LaneState(0, settled=5), LaneState(3, settled=5), False),
        (LaneState(0, unfinished=1, receivers=1, settled=5), LaneState(0, unfinished=1, receivers=1, settled=5), False),
        (LaneState(0, unfinished=1, settled=5), LaneState(0, unfinished=1, settled=5), True),
        (LaneState(0, unfinished=1, receivers=1, settled=5), LaneState(0, unfinished=1, settled=5), False),
        (LaneState(3, receivers=1), LaneState(3, receivers=1), True),
        (LaneState(3, receivers=1), LaneState(2, receivers=1), False),
    ],
)
def test_stuck_is_who_has_work_and_settles_nothing(earlier: LaneState, now: LaneState, *, stuck: bool) -> None:
    """Slow is not stuck, and neither is one that has just been given something."""
    assert now.is_stuck(earlier) is stuck
