"""When a message that nobody has is missing: never while anybody may have it."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from typer.main import get_command

from penstock.auditing.judging import Lane, Open, Rules, judged, lanes_of
from penstock.auditing.place import EVERY, pause
from penstock.auditing.records import records, unaudited
from penstock.main import app
from penstock_common.ids import uuid7
from penstock_common.messaging.inspection import BusState, LaneState
from penstock_common.messaging.topology import Consumer
from penstock_common.topology import PLATFORM
from tests.support.docs import misuse

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
RULES = Rules(settle=60, confirm=30)
PATIENCE = 600.0
EMPTY, BUSY = Lane(known=True, receivers=1), Lane(known=True, held=3, receivers=1)
BILLING = PLATFORM.consumer("billing", "on_attempt_costed")


def lacking(minutes: float = 5.0, **changes: object) -> Open:
    """A message that was published so long ago."""
    at = NOW - timedelta(minutes=minutes)
    given = {"id": uuid7(int(at.timestamp() * 1000)), "message_id": "m", "published_at": at} | changes
    return Open(consumer=BILLING.name, service="inference", subject="s", **given)  # type: ignore[arg-type]


def looks(entry: Open, *seen: tuple[float, Lane]) -> list[bool]:
    """What is said at each look: seconds from now, and the lane."""
    verdicts = []
    for seconds, lane in seen:
        entry, is_missing = judged(entry, lane, NOW + timedelta(seconds=seconds), PATIENCE, RULES)
        verdicts.append(is_missing)
    return verdicts


def test_what_the_bus_lacks_twice_is_missing() -> None:
    """Half a minute apart; a look in between is too soon."""
    assert looks(lacking(), (0, EMPTY), (20, EMPTY), (31, EMPTY)) == [False, False, True]


def test_what_the_bus_had_in_between_begins_anew() -> None:
    """A redelivery may have been on its way from one queue to another."""
    assert looks(lacking(), (0, EMPTY), (29, BUSY), (31, EMPTY), (50, EMPTY), (61, EMPTY)) == [False] * 4 + [True]


@pytest.mark.parametrize(
    "entry",
    [lacking(published_at=None), lacking(at_work=True), lacking(minutes=0)],
    ids=["unpublished", "run", "young"],
)
def test_what_may_be_anywhere_is_not_missing(entry: Open) -> None:
    """However long the bus is seen without it; the young one grows old."""
    young = entry.published_at is not None and not entry.at_work
    assert looks(entry, (0, EMPTY), (50, EMPTY)) == [False, False]
    assert looks(entry, (0, EMPTY), (50, EMPTY), (61, EMPTY), (92, EMPTY))[-1] is young


def test_a_bus_that_can_not_tell_condemns_nobody() -> None:
    """It lacks lanes: they are being laid out anew, and the outboxes said again."""
    assert looks(lacking(), (0, EMPTY), (31, Lane()), (62, EMPTY), (80, EMPTY)) == [False] * 4


def test_under_load_a_message_is_missing_once_its_attempts_are_over() -> None:
    """The bus always has something; but everything that waited was delivered long ago."""
    seen = [(seconds, BUSY) for seconds in (0, 300, 601, 640)]
    assert looks(lacking(), *seen) == [False, False, False, True]


def test_attempts_do_not_pass_while_nobody_receives() -> None:
    """A service that is down for an hour has made none of them."""
    waiting = Lane(known=True, held=3, waiting=3)
    down = Lane(known=True, held=1)
    assert looks(lacking(), (0, waiting), (3600, waiting), (3700, BUSY), (3800, BUSY)) == [False] * 4
    assert looks(lacking(), (0, BUSY), (599, down), (700, BUSY), (800, BUSY), (1250, BUSY)) == [False] * 5


@pytest.mark.parametrize("record", records(), ids=lambda record: record.name)
def test_patience_outlasts_every_retry(record: object) -> None:
    """By the lane's own delays and attempts, each of which may end without a word."""
    lane: Consumer = record.consumer  # type: ignore[attr-defined]
    longest = sum(lane.delay(n) + lane.ack_wait for n in range(1, lane.max_attempts + 1))
    assert record.patience > longest  # type: ignore[attr-defined]


def test_every_declared_consumer_is_compared_or_says_why_not() -> None:
    """Nobody is forgotten."""
    compared = {record.name for record in records()}
    told = {c.name for c in PLATFORM.consumers if unaudited(c)}
    assert compared | told == {c.name for c in PLATFORM.consumers}
    assert not compared & told
    assert len(compared) > len(told)


def state(**lanes: LaneState) -> BusState:
    """A bus on which all lanes are idle but these."""
    idle = {lane.name: LaneState(0, receivers=1) for lane in PLATFORM.lanes}
    return BusState(idle | {name.replace("_", "-"): lane for name, lane in lanes.items()})


def held(bus: BusState) -> int:
    """What the bus may still have for billing."""
    return lanes_of(bus, PLATFORM)[BILLING.name].held


def test_what_lies_anywhere_between_may_be_anybodys() -> None:
    """Own lane and quarantine, retry levels, an outbox that is being said again."""
    assert held(state()) == 0
    assert held(state(billing_on_attempt_costed=LaneState(2, unfinished=3))) == 5
    assert held(state(billing_on_attempt_costed_quarantine=LaneState(1))) == 1
    assert held(state(billing_on_catalogue_changed=LaneState(9))) == 0
    assert held(state(worker_on_bus_rebuilt=LaneState(0, unfinished=1))) == 1
    assert held(BusState(state().lanes, delayed=4)) == 4


def test_a_service_that_does_not_run_repeats_nothing() -> None:
    """The word that the bus was rebuilt waits for it, and hides nobody's loss."""
    assert held(state(worker_on_bus_rebuilt=LaneState(1))) == 0


def test_a_lane_that_is_missing_is_not_known() -> None:
    """Nor is any other then."""
    bus = state()
    broken = BusState(bus.lanes, missing=("worker-start-run",))
    assert not any(lane.known for lane in lanes_of(broken, PLATFORM).values())


def test_looking_never_takes_more_than_a_twentieth_of_the_time() -> None:
    """A quick look each minute, a slow one less often."""
    assert (pause(0.1), pause(30)) == (EVERY, 600)


@pytest.mark.parametrize("name", ["worker-save-task", BILLING.name])
def test_what_to_do_is_a_command_that_exists(name: str) -> None:
    """With every option that it names, and for a command the one that lets commands be said again."""
    words = msgspec.structs.replace(lacking(), consumer=name).mend.split()
    assert misuse(get_command(app), words[1:]) is None
    assert ("--commands" in words) is name.startswith("worker")
