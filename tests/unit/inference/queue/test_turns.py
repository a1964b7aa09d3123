"""Whose turn it is, where a request stands, and how fast it goes."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_inference.domain.queue import Limits, Pace, Share, position, turns

NOW = datetime(2030, 1, 1, tzinfo=UTC)
A, B, C = (UUID(int=n) for n in (1, 2, 3))


def test_a_new_tenant_goes_next() -> None:
    """However long another's queue is, and however much it was served."""
    old = Share(A, 10_000, finish=500.0)
    assert turns([old, Share(B, 1)], 499.0, 2).order == [B, A]


def test_tenants_alternate() -> None:
    """Of equal weight each gets every other turn, and its queue's length makes no difference."""
    assert turns([Share(A, 1000), Share(B, 3)], 0.0, 8).order[:6] in ([A, B] * 3, [B, A] * 3)


def test_a_heavier_tenant_goes_more_often() -> None:
    """By its weight."""
    order = turns([Share(A, 1000, weight=4.0), Share(B, 1000)], 0.0, 100).order
    assert Counter(order) == {A: 80, B: 20}


def test_a_tie_goes_to_who_had_least() -> None:
    """One that was never served stands before one whose last turn ended now."""
    assert turns([Share(A, 1, finish=7.0), Share(B, 1)], 7.0, 1).order == [B]


def test_time_away_is_not_saved_up() -> None:
    """Who comes back after long takes one turn first, not all that it missed."""
    order = turns([Share(A, 5, finish=100.0), Share(B, 5, finish=1.0)], 100.0, 4).order
    assert Counter(order) == {A: 2, B: 2}


SHARES = st.lists(
    st.builds(
        Share,
        st.uuids(),
        st.integers(0, 30),
        st.floats(0, 50),
        st.sampled_from([1.0, 2.0, 4.0]),
    ),
    max_size=6,
    unique_by=lambda share: share.tenant,
)


@given(SHARES, st.floats(0, 50), st.integers(0, 60))
def test_nobody_takes_more_than_waits(shares: list[Share], virtual: float, free: int) -> None:
    """As many turns as are free and wait; the clock never goes back; what is said of the tenants fits the order."""
    taken = turns(shares, virtual, free)
    had = Counter(taken.order)
    assert len(taken.order) == min(free, sum(share.waiting for share in shares))
    assert all(had[share.tenant] <= share.waiting for share in shares)
    assert taken.virtual >= virtual
    for share in shares:
        if had[share.tenant]:
            start = max(virtual, share.finish)
            assert taken.finishes[share.tenant] == pytest.approx(start + had[share.tenant] / share.weight)
    assert set(taken.finishes) == set(had)


@given(SHARES, st.floats(0, 50))
def test_in_steps_or_at_once_it_is_the_same_order(shares: list[Share], virtual: float) -> None:
    """Two dispatchers that take turns are as fair as one."""
    whole = turns(shares, virtual, 20).order
    order: list[UUID] = []
    for _ in range(20):
        taken = turns(shares, virtual, 1)
        order, virtual = order + taken.order, taken.virtual
        shares = [
            Share(s.tenant, s.waiting - (s.tenant in taken.order), taken.finishes.get(s.tenant, s.finish), s.weight)
            for s in shares
        ]
    assert Counter(order) == Counter(whole)


@given(SHARES, st.floats(0, 50), st.data())
def test_position_is_where_it_goes(shares: list[Share], virtual: float, data: st.DataObject) -> None:
    """The place that is told is that in the order of turns, but for ties: one a tenant."""
    waiting = [share for share in shares if share.waiting]
    if not waiting:
        return
    own = data.draw(st.sampled_from(waiting))
    ahead = data.draw(st.integers(0, own.waiting - 1))
    order = turns(shares, virtual, 10_000).order
    mine = [number for number, tenant in enumerate(order, 1) if tenant == own.tenant]
    told = position(own, ahead, [share for share in shares if share.tenant != own.tenant], virtual)
    assert mine[ahead] - len(waiting) < told <= mine[ahead] + len(waiting)


def test_pace_is_that_of_late() -> None:
    """Ten a second for two minutes: a hundred places take ten seconds."""
    pace = Pace()
    for tick in range(1, 1200):
        pace = pace.after(1, NOW + timedelta(seconds=tick / 10))
    assert pace.seconds_for(100, NOW + timedelta(seconds=120)) == pytest.approx(10, rel=0.05)


def test_a_young_pace_is_not_too_slow() -> None:
    """After three seconds it says the same."""
    pace = Pace()
    for tick in range(30):
        pace = pace.after(1, NOW + timedelta(seconds=tick / 10))
    assert pace.seconds_for(100, NOW + timedelta(seconds=3)) == pytest.approx(10, rel=0.1)


def test_no_pace_no_promise() -> None:
    """Nothing ended yet, or nothing for long: nobody knows."""
    assert Pace().seconds_for(5, NOW) is None
    ended = Pace().after(3, NOW).after(3, NOW + timedelta(seconds=2))
    assert ended.seconds_for(5, NOW + timedelta(seconds=3)) is not None
    assert ended.seconds_for(5, NOW + timedelta(seconds=200)) is None


def test_room_is_the_smaller_bound() -> None:
    """Of the tenant, of all, and never below nothing."""
    limits = Limits(tenant=5, total=8)
    assert [limits.room(0, 0), limits.room(3, 4), limits.room(1, 7), limits.room(9, 9)] == [5, 2, 1, 0]
