"""What a journal says of a run."""

from datetime import UTC, datetime
from typing import Any

import pytest

from penstock_common.contracts.runs import RunEntry
from penstock_common.ids import time_of, uuid7
from penstock_worker.domain import progress as p
from penstock_worker.domain.calls import Call, derived
from penstock_worker.domain.errors import OutputTooLarge, StateInvalid
from penstock_worker.domain.remembered import changed

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def a_journal(*lines: tuple[str, str, dict[str, Any]]) -> list[RunEntry]:
    """Entries, one after another."""
    return [RunEntry(n, NOON, *line) for n, line in enumerate(lines, 1)]


def test_progress_is_what_the_journal_says() -> None:
    """Steps that ended in either way, calls that were answered, and the step that was begun."""
    begun = uuid7()
    progress = p.Progress.of(
        a_journal(
            (p.RUN_STARTED, "", {}),
            (p.STEP_FINISHED, "a", {"output": {"n": 1}}),
            (p.STEP_SKIPPED, "b", {}),
            (p.STEP_FAILED, "c", {"error": {"code": "x", "message": "y"}}),
            (p.STEP_STARTED, "d", {"call": str(begun), "kind": "agent"}),
            (p.MODEL_ANSWERED, "d", {"name": "turn-1", "answer": "hello"}),
        )
    )
    assert progress.version == 6
    assert progress.steps["a"] == {"ok": True, "skipped": False, "output": {"n": 1}, "error": None}
    assert progress.steps["b"]["skipped"]
    assert progress.steps["c"]["error"]["code"] == "x"
    assert progress.begun == {"d": p.Begun(begun, NOON)}
    assert progress.answers == {("d", "turn-1"): "hello"}
    assert progress.last_output == {"n": 1}


def test_what_a_run_keeps_is_bounded() -> None:
    """By step, and in all."""
    large = "x" * (p.MAX_OUTPUT - 10)
    progress = p.Progress.of(a_journal(*((p.STEP_FINISHED, f"s{n}", {"output": large}) for n in range(4))))
    progress.check_fits("small")
    with pytest.raises(OutputTooLarge):
        progress.check_fits("x" * 100)
    with pytest.raises(OutputTooLarge):
        p.Progress().check_fits(large + "x" * 20)


def test_a_calls_ids_are_the_same_in_every_process() -> None:
    """A tool's key lasts over attempts; each attempt of a model is a request of its own; their time is the step's."""
    id_ = uuid7()
    first, second = Call(id_), Call(id_, attempt=2, repeated=True)
    assert first.request_id == first.id == second.id
    assert second.request_id == Call(id_, 2).request_id != first.request_id
    assert first.named("turn-1").id == second.named("turn-1").id != first.named("turn-2").id
    made = derived(id_, "x")
    assert (made.version, made.variant, time_of(made)) == (7, id_.variant, time_of(id_))


@pytest.mark.parametrize(
    ("before", "wanted", "added", "after"),
    [
        ({}, {}, {"n": 1}, {"n": 1}),
        ({"n": 2, "m": "x"}, {}, {"n": 0.5}, {"n": 2.5, "m": "x"}),
        ({"n": 2}, {"n": 0}, {}, {"n": 0}),
        ({"n": 2}, {"n": 10}, {"n": 1}, {"n": 11}),
        ({"n": None}, {}, {"n": 1}, {"n": 1}),
    ],
)
def test_what_is_remembered_changes(before: Any, wanted: Any, added: Any, after: Any) -> None:
    """Fields are set, then numbers added."""
    assert changed(before, wanted, added) == after


@pytest.mark.parametrize(("before", "wanted"), [({"n": "x"}, {}), ({"n": True}, {}), ({}, {"m": "x" * 17_000})])
def test_what_can_not_be_remembered_is_refused(before: Any, wanted: Any) -> None:
    """Texts have no sum, and one key holds 16 KiB."""
    with pytest.raises(StateInvalid):
        changed(before, wanted, {"n": 1})
