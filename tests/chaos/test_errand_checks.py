"""The checks of errands are silent about a good end, and turn red at each way in which one can be bad."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from tests.chaos.errand_checks import check_errands, is_under_way, text_of
from tests.chaos.errand_reading import Answers, Ends
from tests.chaos.errands import EVERY, Accepted
from tests.chaos.receiver import Receiver
from tests.chaos.script import Order

pytestmark = pytest.mark.chaos

ORDER = Order(key="1-errand-1", words=6)
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@dataclass
class World:
    """One errand of each kind, all of which ended well, and two ticks."""

    accepted: Accepted = field(
        default_factory=lambda: Accepted({"asked": ORDER}, {"run": "1"}, ["schedule"], "base", {"document": "word"})
    )
    heard: Receiver = field(default_factory=Receiver)
    ends: Ends = field(
        default_factory=lambda: Ends(
            charges={"asked": 1},
            states={"asked": ("succeeded", "")},
            runs={
                "run": ("succeeded", "", ""),
                "tick-1": ("succeeded", "", "schedule"),
                "tick-2": ("succeeded", "", "schedule"),
            },
            finishes={"run": 1, "tick-1": 1, "tick-2": 1},
            ticks=[("schedule", NOON, "tick-1"), ("schedule", NOON + timedelta(seconds=EVERY), "tick-2")],
            documents={"document": ("indexed", "")},
        )
    )
    answers: Answers = field(
        default_factory=lambda: Answers({"asked": text_of(ORDER)}, [1], {"document": ["document"]})
    )

    def __post_init__(self) -> None:
        self.heard.told["asked"] = 2
        self.heard.states["asked"] = {"succeeded"}
        for run in self.ends.runs:
            self.heard.acts[run] = {f"key of {run}"}

    def kinds(self) -> set[str]:
        """What is wrong."""
        return {found.kind for found in check_errands(self.accepted, self.heard, self.ends, self.answers)}


def test_good_ends_are_good() -> None:
    """Nothing is wrong, and nothing is waited for."""
    world = World()
    assert world.kinds() == set()
    assert not is_under_way(world.accepted, world.heard, world.ends)


BAD: dict[str, tuple[Callable[[World], object], str]] = {
    "a submission without an end": (lambda w: w.ends.states.clear(), "never_ended"),
    "a submission that runs for ever": (lambda w: w.ends.states.update(asked=("running", "")), "never_ended"),
    "a submission that failed": (lambda w: w.ends.states.update(asked=("failed", "x.down")), "failed"),
    "a submission charged twice": (lambda w: w.ends.charges.update(asked=2), "charged_twice"),
    "a submission never charged": (lambda w: w.ends.charges.clear(), "not_charged"),
    "another answer": (lambda w: w.answers.texts.update(asked="else"), "text_differs"),
    "a URL that never heard": (lambda w: w.heard.states.clear(), "webhook"),
    "a URL that heard two ends": (lambda w: w.heard.states["asked"].add("failed"), "webhook"),
    "a URL that heard of nothing": (lambda w: w.heard.told.update(nobody=1), "webhook"),
    "a run that is not there": (lambda w: w.ends.runs.pop("run"), "never_ended"),
    "a run that failed": (lambda w: w.ends.runs.update(run=("failed", "x", "")), "failed"),
    "a run that ended twice": (lambda w: w.ends.finishes.update(run=2), "ends"),
    "a tool that acts twice": (lambda w: w.heard.acts["run"].add("another key"), "tool_twice"),
    "a tool that never acted": (lambda w: w.heard.acts["run"].clear(), "tool_twice"),
    "two runs that counted once": (lambda w: w.answers.places.append(1), "counted_twice"),
    "a schedule that never ticked": (lambda w: w.ends.ticks.clear(), "tick_missed"),
    "a moment left out": (
        lambda w: w.ends.ticks.append(("schedule", NOON + timedelta(seconds=3 * EVERY), "tick-2")),
        "tick_missed",
    ),
    "a tick that fired twice": (lambda w: w.ends.runs.update(extra=("succeeded", "", "schedule")), "tick_twice"),
    "a tick whose run is gone": (lambda w: w.ends.runs.pop("tick-1"), "never_ended"),
    "a document that failed": (lambda w: w.ends.documents.update(document=("failed", "x")), "failed"),
    "a document that waits for ever": (lambda w: w.ends.documents.update(document=("parsing", "")), "never_ended"),
    "a document that is not found": (lambda w: w.answers.found.update(document=[]), "not_found"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_ends_are_bad(name: str) -> None:
    """Each by its own kind."""
    spoil, kind = BAD[name]
    world = World()
    spoil(world)
    assert kind in world.kinds()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda w: w.heard.told.clear(),
        lambda w: w.ends.runs.update(run=("running", "", "")),
        lambda w: w.ends.runs.pop("tick-2"),
        lambda w: w.ends.documents.update(document=("embedding", "")),
    ],
    ids=["a webhook", "a run", "a tick", "a document"],
)
def test_what_is_under_way_is_waited_for(spoil: Callable[[World], object]) -> None:
    """Before anything is called lost."""
    world = World()
    spoil(world)
    assert is_under_way(world.accepted, world.heard, world.ends)
