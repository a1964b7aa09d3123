"""The race's figures, its table, its place in the README, and the peer's configuration."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from measuring.tools import BenchError, Load, Mock
from racing.contestant import Contestant
from racing.litellm import settings
from racing.main import options
from racing.rounds import Course, Figures, Shape, medians, race
from racing.table import BEGIN, END, Conditions, markdown, parts, place, shown

CONDITIONS = Conditions("2026-11-21", Shape(rounds=3), 2, "a processor", ("Python 3.11", "Go 1.24"))


def figures(scale: float = 1.0, others: float = 0.0) -> Figures:
    """Every figure that the table shows, each different."""
    found = {f"{n} clients {what}": scale * n for n in (1, 16, 64) for what in ("CPU ms", "requests/s")}
    found |= {
        f"{n} clients added {p} ms": scale * (n + i) for n in (1, 16, 64) for i, p in enumerate(("p50", "p95", "p99"))
    }
    found |= {"token CPU µs": 126 * scale, "tokens/s": 4600 * scale, "added first token ms": 67 * scale}
    return found | {"memory idle MB": 391 * scale, "memory after MB": 422 * scale, "streams others' cores": others}


def table(**contestants: Figures) -> str:
    """The table of these contestants."""
    engine: Figures = {"p50 ms": 0.06, "tokens/s": 4760.0, "first token ms": 84.0}
    return markdown({"engine": engine, **contestants}, CONDITIONS)


def row(printed: str, label: str) -> list[str]:
    """The cells of a row."""
    (line,) = (line for line in printed.splitlines() if line.startswith(f"| {label}"))
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


def test_each_contestant_has_a_column_and_each_row_its_figures() -> None:
    """Figures stand under the name of whom they belong to, in the order of the label."""
    printed = table(ours=figures(), theirs=figures(10))
    assert row(printed, "CPU a request") == ["1.00 / 16.0 / 64.0", "10.0 / 160 / 640"]
    assert row(printed, "added latency p50 / p95 / p99, 16 clients, ms") == ["16.0 / 17.0 / 18.0", "160 / 170 / 180"]
    assert row(printed, "CPU a streamed token") == ["126", "1,260"]
    assert row(printed, "memory") == ["391 / 422", "3,910 / 4,220"]
    widths = {line.count("|") for line in printed.splitlines() if line.startswith("|")}
    assert widths == {4}


def test_the_conditions_stand_below() -> None:
    """Date, machine, rounds, versions and the engine's own rate are said."""
    printed = table(ours=figures())
    for said in ("2026-11-21", "2 cores (a processor)", "3 interleaved rounds", "Python 3.11, Go 1.24", "4,760 tokens"):
        assert said in printed


def test_foreign_load_is_named() -> None:
    """A reader learns that the machine was busy."""
    assert "Other programs used up to 0.5 cores" in table(ours=figures(), theirs=figures(others=0.5))
    assert "Other programs" not in table(ours=figures(), theirs=figures(others=0.1))


@pytest.mark.parametrize(("value", "said"), [(1234.5, "1,234"), (99.94, "99.9"), (4.196, "4.20"), (-0.01, "-0.01")])
def test_numbers_are_short(value: float, said: str) -> None:
    """Two or three digits that count."""
    assert shown(value) == said


def test_the_median_round_counts() -> None:
    """One lucky and one unlucky round change nothing."""
    measured = [("ours", {"x": 1.0}), ("theirs", {"x": 9.0}), ("ours", {"x": 100.0}), ("ours", {"x": 2.0, "y": 5.0})]
    assert medians(measured) == {"ours": {"x": 2.0, "y": 5.0}, "theirs": {"x": 9.0}}


def test_the_table_replaces_the_one_before(tmp_path: Path) -> None:
    """What lies around the markers stays, however often the race is run."""
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    for name in ("first", "second"):
        place(readme, name)
    assert readme.read_text() == f"before\n{BEGIN}\nsecond\n{END}\nafter\n"


@pytest.mark.parametrize("text", ["nothing", BEGIN, f"{END}{BEGIN}", f"{BEGIN}{END}{BEGIN}{END}"])
def test_a_readme_without_its_place_is_refused(text: str, tmp_path: Path) -> None:
    """The error says what is missing, before any time is spent, and nothing is written."""
    readme = tmp_path / "README.md"
    readme.write_text(text)
    with pytest.raises(BenchError, match="no place for the table"):
        parts(readme)
    with pytest.raises(BenchError, match="once each"):
        place(readme, "table")
    assert readme.read_text() == text


def test_nonsense_options_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """A race without rounds or workers is none."""
    for wrong in (["--rounds", "0"], ["--workers", "1", "0"]):
        with pytest.raises(SystemExit):
            options(wrong)
        assert "at least 1" in capsys.readouterr().err


def test_the_peer_is_set_up_without_what_slows_it() -> None:
    """It routes each model to its engine, asks for the key, and neither retries nor reports."""
    given = cast(dict[str, Any], settings({"mock": "http://127.0.0.1:1/v1"}, "sk-race"))
    (model,) = given["model_list"]
    assert model["model_name"] == "mock"
    assert model["litellm_params"]["api_base"] == "http://127.0.0.1:1/v1"
    assert given["general_settings"] == {"master_key": "sk-race"}
    assert given["litellm_settings"] == {"num_retries": 0, "telemetry": False}


class Runner(Contestant):
    """A contestant that notes its turns and answers by itself."""

    def __init__(self, name: str, turns: list[str], lost: int = 0) -> None:
        super().__init__(name, "", "", dict, "1")
        self.turns, self.lost = turns, lost

    def load(self, model: str, *options: str) -> Load:
        """One request, answered."""
        self.turns.append(self.name)
        self.sent += 1 + self.lost
        return answered()


def answered() -> Load:
    """A load's result."""
    latency = {"p50": 1.0, "p95": 2.0, "p99": 3.0}
    tokens = {"prompt_tokens": 9, "completion_tokens": 20, "tokens_per_s": 20.0, "requests_per_s": 1.0}
    return {"requests": 1, "latency_ms": latency, "first_token_ms": latency, **tokens}


class Coach(Course):
    """A course whose engines answered everything that was sent."""

    def direct(self, engine: Mock, *options: str) -> Load:
        """One request to the engine itself."""
        self.asked_directly += 1
        return answered()


def course(turns: list[str], served: int, lost: int = 0) -> Course:
    """Two contestants and two rounds."""
    engine = cast(Mock, SimpleNamespace(pid=1, finished=lambda: served))
    idle = cast(Mock, SimpleNamespace(pid=1, finished=lambda: 0))
    return Coach(engine, idle, [Runner("a", turns), Runner("b", turns, lost)], Shape(rounds=2, drain_s=0))


def test_contestants_take_turns_at_being_first() -> None:
    """Whoever began a round does not begin the next; each runs every load in each round."""
    turns: list[str] = []
    found = list(race(course(turns, served=36)))
    assert turns == ["a"] * 8 + ["b"] * 16 + ["a"] * 8
    assert [name for name, _ in found].count("engine") == 2
    assert {name for name, _ in found} == {"engine", "a", "b"}


def test_answers_that_no_engine_gave_spoil_the_race() -> None:
    """A contestant that answers from a cache, or asks twice, is found out."""
    with pytest.raises(BenchError, match="the engines answered 36 requests, but 52 were asked"):
        list(race(course([], served=36, lost=1)))
