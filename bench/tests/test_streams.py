"""The crowd of streams: what the machine must allow, how it is shaped, what spoils a run, and what is printed."""

import threading
from concurrent.futures import Future
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest

from holding.hold import Crowd, Held, check, most, pause
from holding.limits import Machine
from holding.limits import check as check_machine
from holding.main import options
from holding.report import missed, table
from measuring.platform import Platform
from measuring.tools import BenchError, Load, Mock

CROWD = Crowd(streams=1000, gap_ms=500, ramp_s=10, hold_s=20)


def answered(**other: Any) -> Load:
    """The load generator's line about a crowd that was held."""
    ranks = {"p50": 600.0, "p95": 700.0, "p99": 1900.0, "max": 2100.0}
    counts = {"requests": 1000, "prompt_tokens": 9_000, "completion_tokens": 82_000, "all_open_s": 25.0}
    return counts | {"first_token_ms": ranks, "longest_silence_ms": ranks} | other


def held(api_mb: float = 400.0, others: float = 0.0) -> Held:
    """A measured crowd."""
    idle, loaded = {"api": 100.0, "nats": 20.0}, {"api": api_mb, "nats": 30.0}
    return Held(CROWD, answered(), idle, loaded, {"api": 0.08, "nats": 0.02}, others)


def line(printed: str, label: str) -> str:
    """The line of a label."""
    (found,) = (each for each in printed.splitlines() if each.startswith(label))
    return found


@dataclass
class Books:
    """A platform whose ledger notes what it is held against."""

    asked: list[tuple[int, int]] = field(default_factory=list)

    def check(self, requests: int, tokens: int) -> None:
        """Remember."""
        self.asked.append((requests, tokens))


def judged(result: Load, begun: int = 1000) -> list[tuple[int, int]]:
    """What the ledger was held against, if it came to that."""
    books = Books()
    check(cast(Platform, books), cast(Mock, SimpleNamespace(begun=lambda: begun)), CROWD, result)
    return books.asked


def test_each_stream_speaks_long_enough() -> None:
    """The first one still speaks when all have been open for the time asked, with room for slow first tokens."""
    assert CROWD.tokens * CROWD.gap_ms / 1000 >= CROWD.ramp_s + CROWD.hold_s + 10
    assert Crowd(gap_ms=20_000).tokens * 20 >= 100
    assert CROWD.options()[-4:-2] == ("-ramp", "10s")


def test_a_machine_that_allows_enough_is_accepted() -> None:
    """Nothing is said."""
    check_machine(10_000, Machine(open_files=10_500, ports=28_232, memory=5 << 30))


def test_each_limit_that_is_too_low_is_named() -> None:
    """With what is needed, what is there, and how to raise it; all at once, not one after another."""
    with pytest.raises(BenchError) as caught:
        check_machine(10_000, Machine(open_files=4096, ports=9_000, memory=1 << 30))
    said = str(caught.value)
    for word in (
        "10500 are needed",
        "4096 are allowed",
        "ulimit -Hn 10500",
        "ip_local_port_range",
        "4.5 GB",
        "--streams",
    ):
        assert word in said


def test_a_crowd_that_was_held_is_held_against_the_ledger() -> None:
    """Every request and token that was answered."""
    assert judged(answered()) == [(1000, 91_000)]


@pytest.mark.parametrize(
    ("wrong", "begun", "said"),
    [
        ({"requests": 999}, 1000, "999 of 1000 streams"),
        ({"all_open_s": 19.0}, 1000, "open for 19 s, not for 20 s"),
        ({}, 1001, "asked 1001 times"),
    ],
)
def test_a_crowd_that_was_not_held_spoils_the_run(wrong: dict[str, Any], begun: int, said: str) -> None:
    """A lost stream, one that was not open with the others, one that was generated twice."""
    with pytest.raises(BenchError, match=said):
        judged(answered(**wrong), begun)


def test_a_load_that_ends_too_early_is_told_at_once() -> None:
    """With its own error where there is one; a minute is not waited for nothing."""
    failed: Future[Load] = Future()
    failed.set_exception(BenchError("3 answers were wrong"))
    with pytest.raises(BenchError, match="3 answers were wrong"):
        pause(failed, 60)
    early: Future[Load] = Future()
    threading.Timer(0.2, early.set_result, [answered()]).start()
    with pytest.raises(BenchError, match="before all of them were open"):
        pause(early, 60)


def test_the_largest_reading_counts() -> None:
    """Memory is what it was at its worst."""
    assert most([{"api": 5.0, "nats": 1.0}, {"api": 4.0, "nats": 9.0}, {"api": 6.0}]) == {"api": 4.0, "nats": 9.0}


def test_the_table_says_what_a_stream_costs() -> None:
    """Memory beyond the idle platform's, and CPU of a token, divided by the streams."""
    printed = table(held())
    assert line(printed, "memory of a stream, kB").endswith("310.0 (api 300.0, nats 10.0)")
    assert line(printed, "CPU of a stream and token").endswith("50.0 (api 40.0, nats 10.0)")
    assert line(printed, "time to first token").endswith("100 / 1,400")
    assert "goal: < 1,611" in line(printed, "memory of api")
    assert "other programs" not in printed
    assert "used 0.4 cores" in table(held(others=0.4))


def test_an_api_that_is_too_large_is_marked() -> None:
    """1.5 GiB is the goal, and missing it is a failure."""
    assert missed(held(1611.0))
    assert "MISSED" in table(held(1611.0))
    assert not missed(held(1610.0))


def test_nonsense_options_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """A crowd of nobody is none."""
    for wrong in (["--streams", "0"], ["--gap", "0"]):
        with pytest.raises(SystemExit):
            options(wrong)
        assert "at least 1" in capsys.readouterr().err
    assert options(["--", "--processes", "api=2"]).up == ["--processes", "api=2"]
