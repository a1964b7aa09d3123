"""The simulated engine's files, read line by line."""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from penstock.reconcile.engine import BLOCK, Attempt, Damaged, Ended, agrees, attempts_in, compare
from penstock.reconcile.report import Difference, Report
from penstock.reconcile.spool import Spool, spooled
from penstock_inference.adapters.engines.sim import record

OPEN = '{"event":"open","request_id":"r","attempt":1,"model":"m","prompt_tokens":9,"at":1.5}\n'
COUNT = '{"event":"count","request_id":"r","attempt":1,"completion_tokens":64}\n'
CLOSE = '{"event":"close","request_id":"r","attempt":1,"prompt_tokens":9,"completion_tokens":40}\n'


def attempts(tmp_path: Path, content: str) -> list[Attempt]:
    """What a file with this content says."""
    path = tmp_path / "1-1.jsonl"
    path.write_text(content)
    return list(attempts_in(path))


@pytest.mark.parametrize(
    ("content", "low", "high", "closed"),
    [
        (OPEN, 0, 0, False),
        (OPEN + COUNT, 32, 64, False),
        (OPEN + COUNT + CLOSE, 40, 40, True),
        (OPEN + COUNT + CLOSE[:-1], 32, 64, False),
        (OPEN + COUNT + CLOSE[:20], 32, 64, False),
        (OPEN + CLOSE, 40, 40, True),
    ],
)
def test_an_attempt_is_exact_once_closed(tmp_path: Path, content: str, low: int, high: int, closed: bool) -> None:
    """Before that it lies within the block announced last; a torn last line was never written."""
    assert attempts(tmp_path, content) == [Attempt("r", 1, 9, low, high, closed)]


@pytest.mark.parametrize("content", ["nonsense\n" + OPEN, "{}\n", OPEN.replace('"r"', "1")])
def test_a_damaged_file_is_no_record(tmp_path: Path, content: str) -> None:
    """It is reported, not guessed at."""
    with pytest.raises(Damaged):
        attempts(tmp_path, content)


def test_the_block_is_the_engines() -> None:
    """Both sides count in the same steps."""
    assert BLOCK == record.BLOCK


@pytest.mark.parametrize(
    ("outcome", "measure", "completion", "agree"),
    [
        ("succeeded", "measured", 40, True),
        ("succeeded", "measured", 39, False),
        ("succeeded", "estimated", 39, True),
        ("cancelled", "partial", 12, True),
        ("cancelled", "partial", 41, False),
        ("failed", "measured", 0, True),
    ],
)
def test_what_was_measured_is_exact_and_the_rest_bounded(
    outcome: str, measure: str, completion: int, agree: bool
) -> None:
    """Nobody pays for more than the engine produced."""
    ended = Ended("r", 1, outcome, measure, 9, completion, simulated=True, booked=[1])
    assert agrees(ended, Attempt("r", 1, 9, 40, 40, closed=True)) is agree


def test_attempts_that_are_not_booked() -> None:
    """Each one that the engine knows besides the charged one."""
    ended = Ended("r", 3, "succeeded", "measured", 9, 40, simulated=True, booked=[3, 1])
    known = {n: [Attempt("r", n, 9, 40, 40, closed=True)] for n in (1, 2, 3)}
    assert [(d.kind, d.settles) for d in compare(ended, known)] == [("attempt_not_booked", True)]


@pytest.mark.parametrize("outcome", ["partial", "cancelled"])
def test_an_answer_that_was_cut_may_come_from_an_earlier_attempt(outcome: str) -> None:
    """The last attempt called no engine, or said less than was delivered; a number that none produced is found."""
    known = {1: [Attempt("r", 1, 9, 32, 64, closed=False)], 2: [Attempt("r", 2, 9, 3, 3, closed=True)]}
    for calls in (known, {1: known[1]}):
        cut = Ended("r", 2, outcome, "partial", 9, 40, simulated=True, booked=[1])
        assert list(compare(cut, calls)) == []
        assert [d.kind for d in compare(replace(cut, completion=65), calls)] == ["engine_differs"]
    whole = Ended("r", 2, "succeeded", "estimated", 9, 40, simulated=True, booked=[1])
    assert [d.kind for d in compare(whole, known)] == ["engine_differs"]


def test_the_spool_hands_out_each_attempt_once(tmp_path: Path) -> None:
    """By request, from several files; what nobody asked for is left."""
    other = OPEN.replace('"r"', '"s"')
    for name, content in (("1-1", OPEN + CLOSE + other), ("2-1", (OPEN + COUNT).replace(":1,", ":2,"))):
        (tmp_path / f"{name}.jsonl").write_text(content)
    with spooled(tmp_path) as spool:
        assert spool.total == 3
        assert {n: calls[0].high for n, calls in spool.take(["r", "unknown"])["r"].items()} == {1: 40, 2: 64}
        assert spool.take(["r"]) == {}
        assert [a.request_id for chunk in spool.unclaimed() for a in chunk] == ["s"]


@pytest.mark.parametrize("content", [(OPEN + CLOSE) * 2, OPEN * 2 + CLOSE * 2, OPEN + COUNT + OPEN + CLOSE])
def test_an_attempt_that_called_the_engine_twice(tmp_path: Path, content: str) -> None:
    """A bus that forgot its delivery: one of both calls is charged, and a third number is a difference."""
    (tmp_path / "1-1.jsonl").write_text(content)
    with spooled(tmp_path) as spool:
        calls = spool.take(["r"])["r"]
    whole, more = (Ended("r", 1, "succeeded", "measured", 9, n, simulated=True, booked=[1]) for n in (40, 80))
    assert list(compare(whole, calls)) == []
    assert [d.kind for d in compare(more, calls)] == ["engine_differs"]


def test_no_folder_is_an_empty_record() -> None:
    """An engine that was never called wrote nothing."""
    with TemporaryDirectory() as folder, spooled(Path(folder) / "missing") as spool:
        assert isinstance(spool, Spool)
        assert spool.total == 0


def test_what_came_up_while_waiting_is_under_way() -> None:
    """On a busy platform some request is always between its end and its charge."""
    hard = Difference("a", "charged_twice", "")
    lasted, new = (Difference(request, "not_charged", "", settles=True) for request in "bc")
    report = Report(in_flight=["d"], differences=[hard, lasted, new])
    report.keep({lasted.key, ("e", "not_charged")})
    assert report.differences == [hard, lasted]
    assert report.in_flight == ["d", "c"]
