"""Alarms ring once, never early, and all of them by one timer."""

import asyncio
from functools import partial

from penstock_inference.generating.alarms import SLOT_SECONDS, Alarms
from tests.unit.inference.generating.conftest import until

LATE = 5.0  # seconds, on a busy machine


class Rung:
    """When each alarm rang, by the loop's time."""

    def __init__(self) -> None:
        self.alarms = Alarms()
        self.at: dict[str, float] = {}
        self.now = asyncio.get_running_loop().time

    def ring(self, name: str) -> None:
        """Note it; an alarm that rings twice is a failure."""
        assert name not in self.at
        self.at[name] = self.now()


def boom() -> None:
    """Fail."""
    raise ZeroDivisionError


async def test_each_rings_in_its_turn_and_none_early() -> None:
    """Whatever the order in which they were set."""
    rung = Rung()
    due = {name: rung.now() + seconds for name, seconds in (("c", 0.22), ("a", 0.02), ("b", 0.12), ("d", 0.22))}
    for name, at in due.items():
        rung.alarms.set(at, partial(rung.ring, name))
    await until(lambda: len(rung.at) == 4)
    assert sorted(rung.at, key=lambda name: rung.at[name])[:2] == ["a", "b"]
    assert all(0 <= rung.at[name] - at + 0.002 < LATE for name, at in due.items())
    assert len(rung.alarms) == 0


async def test_what_is_moved_rings_at_its_new_time_only() -> None:
    """Earlier or later."""
    rung = Rung()
    later = rung.alarms.set(rung.now() + 0.05, lambda: rung.ring("later"))
    sooner = rung.alarms.set(rung.now() + 60, lambda: rung.ring("sooner"))
    later.move(began := rung.now() + 1.0)
    sooner.move(rung.now() + 0.05)
    await until(lambda: "sooner" in rung.at)
    assert "later" not in rung.at
    await until(lambda: "later" in rung.at)
    assert rung.at["later"] >= began - 0.002


async def test_what_was_moved_away_and_back_is_not_forgotten() -> None:
    """A patience that grows and shrinks keeps its last word."""
    rung = Rung()
    alarm = rung.alarms.set(rung.now() + 0.1, lambda: rung.ring("it"))
    alarm.move(rung.now() + 60)
    alarm.move(rung.now() + 0.2)
    await asyncio.sleep(3 * SLOT_SECONDS)
    alarm.move(rung.now() + 0.05)
    await until(lambda: "it" in rung.at, 1)


async def test_the_cancelled_are_silent_also_within_a_slot() -> None:
    """One that rings may cancel its neighbours; nothing is left behind, and nothing waits."""
    rung = Rung()
    at = rung.now() + 0.05
    alarms = [rung.alarms.set(at, lambda: cancel_all()) for _ in range(3)]  # noqa: PLW0108 (defined below)

    def cancel_all() -> None:
        rung.ring("first")
        for alarm in alarms:
            alarm.cancel()

    rung.alarms.set(at, lambda: rung.ring("unconcerned"))
    for _ in range(100):
        rung.alarms.set(rung.now() + 60, lambda: rung.ring("never")).cancel()
    await until(lambda: len(rung.at) == 2)
    await asyncio.sleep(2 * SLOT_SECONDS)
    assert set(rung.at) == {"first", "unconcerned"}
    assert len(rung.alarms) == 0


async def test_one_that_fails_keeps_no_other_from_ringing() -> None:
    """Each is somebody else's."""
    rung = Rung()
    rung.alarms.set(rung.now() + 0.02, boom)
    rung.alarms.set(rung.now() + 0.02, lambda: rung.ring("other"))
    rung.alarms.set(rung.now() + 0.15, lambda: rung.ring("next"))
    await until(lambda: set(rung.at) == {"other", "next"}, 2)
