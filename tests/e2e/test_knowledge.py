"""Knowledge bases as an operator uses them: `penstock kb` on a running platform, with the model that comes along."""

import json
import random
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.pdfs import a_pdf
from tests.support.platform import Platform

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e")]

LEAVE = "# Leave\n\nEmployees have thirty days of paid holiday a year."
TRAVEL = "<html><body><h1>Travel</h1><p>Trains are booked in second class.</p></body></html>"
ROUNDS = 40
TOPICS = ("turbine", "dam", "sluice", "gate", "river", "pressure", "valve", "flow", "basin", "spillway")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of four documents, and one file that is none."""
    (tmp_path / "deep").mkdir()
    (tmp_path / "leave.md").write_text(LEAVE)
    (tmp_path / "deep" / "travel.html").write_text(TRAVEL)
    (tmp_path / "deep" / "safety.pdf").write_bytes(a_pdf("Wear a helmet.", "In case of fire, leave by the stairs."))
    (tmp_path / "notes.txt").write_text("The canteen serves lunch at noon.")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG")
    return tmp_path


@pytest.fixture
def base(platform: Platform) -> Iterator[str]:
    """The name of an empty base of this test's own."""
    name = f"base-{time.time_ns()}"
    platform.cli("kb", "create", name)
    yield name
    platform.cli("kb", "rm", name)


def best(platform: Platform, base: str, question: str) -> dict[str, object]:
    """The first chunk found."""
    chunk: dict[str, object] = platform.cli_json("kb", "search", base, question)["chunks"][0]
    return chunk


def until_found(platform: Platform, base: str, count: int) -> None:
    """Wait until a search knows so many documents: one that waited a second for the newest takes what is there."""
    end = time.monotonic() + 20
    while len({c["name"] for c in platform.cli_json("kb", "search", base, "any", "--limit", "50")["chunks"]}) < count:
        assert time.monotonic() < end


def test_a_folder_answers_questions(platform: Platform, base: str, folder: Path) -> None:
    """By meaning, in other words than its own; with the document and the page."""
    added = platform.cli_json("kb", "add", base, str(folder))["documents"]
    assert {d["name"]: d["state"] for d in added} == dict.fromkeys(
        ("leave.md", "travel.html", "safety.pdf", "notes.txt"), "indexed"
    )
    until_found(platform, base, 4)
    assert best(platform, base, "How much vacation do I get?")["name"] == "leave.md"
    assert best(platform, base, "When can I eat?")["name"] == "notes.txt"
    assert best(platform, base, "Which railway ticket may I buy?")["name"] == "travel.html"
    assert best(platform, base, "What to do when it burns?")["name"] == "safety.pdf"
    shown = platform.cli("kb", "search", base, "helmet", "--mode", "words").stdout
    assert "1. safety.pdf, page 1" in shown


def test_what_is_removed_is_not_found(platform: Platform, base: str, folder: Path) -> None:
    """One document, then the base."""
    added = platform.cli_json("kb", "add", base, str(folder))["documents"]
    gone = next(d["id"] for d in added if d["name"] == "leave.md")
    assert platform.cli("kb", "rm", base, gone).stdout == "removed: leave.md\n"
    end = time.monotonic() + 10
    while gone in platform.cli("kb", "docs", base, "--json").stdout:
        assert time.monotonic() < end
    found = platform.cli_json("kb", "search", base, "days of paid holiday")["chunks"]
    assert found
    assert gone not in {chunk["document_id"] for chunk in found}


def test_a_bad_document_is_named(platform: Platform, base: str, tmp_path: Path) -> None:
    """The others are indexed; the command fails, and says which and why."""
    (tmp_path / "bad.pdf").write_bytes(b"%PDF-1.7 and rubbish")
    (tmp_path / "good.txt").write_text("All is well.")
    result = platform.cli("kb", "add", base, str(tmp_path), check=False)
    assert result.returncode == 1
    assert "searchable: 1 of 2" in result.stdout
    assert "bad.pdf: The document is damaged" in result.stderr
    assert platform.cli("kb", "search", "no-such-base", "x", check=False).returncode == 1


def test_indexing_does_not_delay_chat(platform: Platform, base: str, tmp_path: Path) -> None:
    """A pile of documents waits behind itself alone; chat hardly notices."""
    alone = answer_times(platform)
    words = random.Random(1)
    for number in range(60):
        (tmp_path / f"{number}.txt").write_text(" ".join(words.choices(TOPICS, k=4000)))
    platform.cli("kb", "add", base, str(tmp_path), "--no-wait")
    beside = answer_times(platform)
    states = [d["state"] for d in json.loads(platform.cli("kb", "docs", base, "--json").stdout)["documents"]]
    assert any(state != "indexed" for state in states), "the pile was too small to measure anything"
    print("chat, p50 / p95 in ms: alone", figures(alone), "while a pile is indexed", figures(beside))
    assert statistics.median(beside) < 3 * statistics.median(alone) + 0.1


def answer_times(platform: Platform) -> list[float]:
    """Seconds to whole answers, one after another."""
    client, times = platform.client(), []
    for number in range(ROUNDS):
        began = time.perf_counter()
        client.chat.completions.create(
            model="sim/fast", max_tokens=5, messages=[{"role": "user", "content": f"Hello {number}"}]
        )
        times.append(time.perf_counter() - began)
    return times


def figures(times: list[float]) -> str:
    """Median and 95th percentile in milliseconds."""
    return f"{statistics.median(times) * 1000:.0f} / {statistics.quantiles(times, n=20)[-1] * 1000:.0f}"
