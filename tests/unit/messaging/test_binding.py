"""A service's handlers and its rows must say the same."""

from dataclasses import replace

import pytest

from penstock_common.messaging.binding import matched
from penstock_common.messaging.router import Router
from penstock_common.messaging.topology import DEAD_LETTERS, QUARANTINE, Consumer, Runner, Stream, Topology
from tests.unit.messaging.fakes import BATCHED, COUNTED, LANE, Counted, Other


async def on_counted(_: object, __: object) -> None:
    """A handler."""


async def on_counted_dead(_: object, __: object) -> None:
    """A handler of dead letters."""


def topology(*rows: Consumer) -> Topology:
    """One topic, these rows."""
    return Topology((Stream("TEST", 60, 1 << 20), QUARANTINE, DEAD_LETTERS), (COUNTED,), rows)


def router() -> Router:
    """The handlers of the service `test`."""
    return Router("test")


def test_each_handler_finds_its_row() -> None:
    """Another service's rows are no concern."""
    made = router()
    made.on(Counted)(on_counted)
    [(registration, row)] = matched(topology(LANE, replace(LANE, service="other")), made)
    assert (registration.handler, row) == (on_counted, LANE)


def test_an_on_dead_handler_gets_the_dead_lane() -> None:
    """Beside its command's row."""
    row = replace(LANE, has_on_dead=True)
    made = router()
    made.on(Counted)(on_counted)
    made.on_dead(Counted)(on_counted_dead)
    assert [lane for _, lane in matched(topology(row), made)] == [row, row.dead_lane]


def test_a_row_without_handler_and_a_handler_without_row_are_named() -> None:
    """Both at once."""
    made = router()
    made.on(Counted)(on_counted_dead)
    with pytest.raises(ValueError, match="handler on_counted_dead has no row; row on_counted has no handler"):
        matched(topology(LANE), made)


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (LANE, "takes Other, its row Counted"),
        (BATCHED, r"has no batch, its row Batch\(size=4"),
        (replace(BATCHED, runner=Runner.FASTSTREAM), "batches run on the plain runner"),
    ],
)
def test_differences_are_named(row: Consumer, says: str) -> None:
    """Contract, batch, runner."""
    made = router()
    made.on(Other)(on_counted)
    with pytest.raises(ValueError, match=says):
        matched(topology(row), made)


def test_a_batch_is_declared_alike_in_both_places() -> None:
    """The decorator documents, the table decides; they may not differ."""
    made = router()
    made.on_batch(Counted, size=8, within_ms=20)(on_counted)
    with pytest.raises(ValueError, match="on_counted has Batch"):
        matched(topology(BATCHED), made)
