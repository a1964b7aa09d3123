"""The lanes that follow from a row."""

from dataclasses import replace

import pytest

from penstock_common.messaging.topology import QUARANTINE, Topology
from penstock_common.topology import PLATFORM
from tests.unit.messaging.fakes import BATCHED, COUNTED, LANE


def test_a_quarantine_lane_keeps_the_story_of_its_row() -> None:
    """Apart, one at a time, with the attempts that are left, and the same inbox and dead letters."""
    lane = LANE.quarantine
    assert lane
    assert (lane.name, lane.inbox_name) == ("test-on-counted-quarantine", LANE.name)
    assert (lane.topic.subject, lane.topic.stream) == ("quarantine.test-on-counted", QUARANTINE.name)
    assert (lane.max_in_flight, lane.max_attempts) == (1, LANE.max_attempts - LANE.isolate_after)
    assert lane.dead_letters == LANE.dead_letters == "dlq.test-on-counted"
    assert lane.quarantine is None


def test_a_process_takes_as_much_of_a_lane_as_it_holds() -> None:
    """What it receives at once is its own; everything else stays as it was declared for all."""
    table = PLATFORM.resized("inference", "generate_text", 7)
    row, declared = table.consumer("inference", "generate_text"), PLATFORM.consumer("inference", "generate_text")
    assert (row.prefetch, replace(row, concurrency=declared.concurrency)) == (7, declared)
    others = [row for row in table.consumers if row.handler != "generate_text"]
    assert others == [row for row in PLATFORM.consumers if row.handler != "generate_text"]


def test_an_ordered_lane_has_no_quarantine() -> None:
    """It runs one at a time already."""
    assert replace(LANE, ordered=True).quarantine is None


def test_a_dead_lane_reads_the_dead_letters() -> None:
    """And is the only one that does."""
    lane = replace(LANE, has_on_dead=True).dead_lane
    assert lane
    assert lane.is_dead_lane
    assert lane.topic.subject == LANE.dead_letters
    assert not LANE.is_dead_lane


def test_the_last_pause_repeats() -> None:
    """Attempts count from one."""
    assert [LANE.delay(attempt) for attempt in (1, 2, 3, 9)] == [0.1, 0.2, 0.2, 0.2]


def test_a_process_holds_a_few_batches() -> None:
    """Enough that the next is there when one ends."""
    assert BATCHED.batch
    assert BATCHED.prefetch == 4 * BATCHED.batch.size


def test_one_contract_has_one_topic() -> None:
    """Or its publisher would not know where to."""
    with pytest.raises(ValueError, match="Counted is on two topics"):
        Topology((), (replace(COUNTED, stream=""), replace(COUNTED, stream="")), ())


def test_no_name_has_a_dot() -> None:
    """NATS forbids them in durables."""
    assert not [lane.name for lane in PLATFORM.lanes if "." in lane.name]


def test_names_are_unique() -> None:
    """Each lane is one durable, one queue."""
    names = [lane.name for lane in PLATFORM.lanes]
    assert len(names) == len(set(names))
