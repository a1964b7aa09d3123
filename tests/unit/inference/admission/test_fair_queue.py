"""The order in which what waits goes on: a model that is told everything agrees, and no tenant waits for another."""

import tracemalloc
from collections import Counter
from itertools import combinations
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from penstock_inference.domain.fair_queue import FairQueue, Party, Place

PARTIES = [Party(UUID(int=number), number % 3 == 0) for number in range(6)]
WEIGHTS = {party: 4 if party.is_reserved else 1 for party in PARTIES}
KIB = 1024

Queue = FairQueue[int]
Added = dict[int, Place]

an_arrival = st.tuples(st.just("add"), st.sampled_from(PARTIES), st.integers(0, 1), st.booleans())
a_turn = st.tuples(st.just("pop"), st.booleans())
a_removal = st.tuples(st.just("remove"), st.integers(0, 1000))
moves = st.lists(st.one_of(an_arrival, an_arrival, a_turn, a_removal), max_size=40)


def add(queue: Queue, item: int, party: Party, *, rank: int = 0, is_busy: bool = False) -> Place:
    """With the party's weight."""
    return queue.add(item, party, WEIGHTS[party], rank=rank, is_busy=is_busy)


def played(queue: Queue, moves: list[tuple]) -> Added:  # type: ignore[type-arg]  # a move is as long as its kind says
    """What waits after these moves; each turn gives something that waited, and the first of its party."""
    waiting: Added = {}
    for number, move in enumerate(moves):
        if move[0] == "add":
            waiting[number] = add(queue, number, move[1], rank=move[2], is_busy=move[3])
        elif move[0] == "remove" and waiting:
            assert queue.remove(waiting.pop(sorted(waiting)[move[1] % len(waiting)]))
        elif move[0] == "pop":
            taken(queue, waiting, reserved=move[1])
        assert len(queue) == len(waiting)
    return waiting


def taken(queue: Queue, waiting: Added, *, reserved: bool) -> None:
    """One turn."""
    item = queue.pop(reserved=reserved)
    able = [place for place in waiting.values() if place.party.is_reserved or not reserved]
    assert (item is None) == (not able)
    if item is not None:
        place = waiting.pop(item)
        assert place in able
        assert place == min(other for other in able if other.party == place.party)


def drained(queue: Queue) -> list[int]:
    """All that waits, in its order."""
    order = []
    while (item := queue.pop()) is not None:
        order.append(item)
    return order


@settings(max_examples=60, deadline=None)
@given(moves)
def test_everything_goes_once_and_each_party_in_its_own_order(moves: list[tuple]) -> None:  # type: ignore[type-arg]
    """Whatever came, went and was taken out: what is left is what is drained."""
    queue = Queue()
    waiting = played(queue, moves)
    assert Counter(drained(queue)) == Counter(waiting.keys())
    assert len(queue) == 0


@settings(max_examples=60, deadline=None)
@given(moves)
def test_a_position_is_the_turn_at_which_it_goes(moves: list[tuple]) -> None:  # type: ignore[type-arg]
    """Told beforehand for everything that waits, it comes out exactly."""
    queue = Queue()
    told = {item: queue.position(place) for item, place in played(queue, moves).items()}
    assert {item: turn for turn, item in enumerate(drained(queue), 1)} == told


@settings(max_examples=60, deadline=None)
@given(moves, st.integers(1, 60))
def test_the_first_request_of_a_new_tenant_goes_next(moves: list[tuple], backlog: int) -> None:  # type: ignore[type-arg]
    """However much the others have waiting, and whatever went before."""
    queue = Queue()
    played(queue, moves)
    for number in range(backlog):
        add(queue, -number - 1, PARTIES[1], is_busy=True)
    newest = queue.waiting(PARTIES[1])
    assert newest >= backlog
    others = [queue.pop() for _ in range(len(PARTIES))]  # whoever was new before has had its turn
    assert all(other is not None for other in others) or len(queue) == 0
    new = Party(UUID(int=99), False)
    queue.add(7_777, new, 1)
    queue.add(7_778, new, 1)
    assert queue.pop() == 7_777


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(PARTIES), min_size=2, max_size=6, unique=True), st.integers(2, 60))
def test_shares_follow_the_weights_within_one_turn(parties: list[Party], turns: int) -> None:
    """Among those who have enough waiting all the time."""
    queue = Queue()
    owner = {}
    for number in range(4 * turns * len(parties)):
        party = parties[number % len(parties)]
        owner[number] = party
        add(queue, number, party)
    had = Counter(owner[item] for _ in range(turns) if (item := queue.pop()) is not None)
    for one, other in combinations(parties, 2):
        assert abs(had[one] / WEIGHTS[one] - had[other] / WEIGHTS[other]) <= 1 / WEIGHTS[one] + 1 / WEIGHTS[other]


def test_who_has_something_at_work_is_not_new() -> None:
    """A tenant whose requests run goes behind one that has none, though it came first."""
    queue = Queue()
    add(queue, 1, PARTIES[1], is_busy=True)
    add(queue, 2, PARTIES[2])
    assert drained(queue) == [2, 1]


def test_turns_on_reserved_slots_cost_nothing_elsewhere() -> None:
    """A tenant that lived on reserved slots for long stands in the open ones where it stood."""
    queue = Queue()
    reserved, ordinary = PARTIES[0], PARTIES[1]
    for number in range(100):
        add(queue, number, reserved)
        add(queue, 1_000 + number, ordinary)
    assert [queue.pop(reserved=True) for _ in range(50)] == list(range(50))
    assert [queue.pop() for _ in range(5)] == [50, 1_000, 51, 52, 53]


def test_a_queue_that_never_empties_keeps_nothing_of_what_left() -> None:
    """Requests of a hundred tenants come and go, by their turn or before it, while one always waits."""
    queue = Queue()
    add(queue, 0, PARTIES[1], is_busy=True)
    tracemalloc.start()
    for number in range(1, 10_001):
        party = Party(UUID(int=100 + number % 100), False)
        place = queue.add(number, party, 1)
        if number % 3:
            queue.remove(place)
        else:
            queue.pop()
    size = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert size < 200 * KIB
    assert len(queue) == 1


def test_what_is_taken_out_is_not_found() -> None:
    """Twice is once, and it has no position any more."""
    queue = Queue()
    place = add(queue, 1, PARTIES[0])
    assert queue.remove(place)
    assert not queue.remove(place)
    assert queue.pop() is None
