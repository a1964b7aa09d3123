"""Logs of many processes, read as one: whatever wrote the line, wherever it was rotated to."""

import os
import time
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from threading import Timer

import pytest
from typer.testing import CliRunner, Result

from penstock.logs.entry import BEGINNING, Story
from penstock.logs.reading import added, logs_in, recent
from penstock.logs.since import moment
from penstock.main import app
from penstock.platform import logs as platform_logs
from penstock.platform.errors import PlatformError
from penstock.platform.logs import Log

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)


def ours(second: int, event: str, level: str = "info") -> str:
    """A line as our services write it into a pipe."""
    return f'{{"event": "{event}", "level": "{level}", "timestamp": "2026-05-04T12:00:{second:02}.5Z"}}'


def penstock(*arguments: str) -> Result:
    """Run the command line in this process."""
    return CliRunner().invoke(app, ["logs", *arguments])


@pytest.mark.parametrize(
    ("line", "at", "level"),
    [
        (ours(7, "a.b", "warning"), NOW + timedelta(seconds=7.5), "warning"),
        ("2026-05-04T12:00:01.25Z [error    ] engine.lost   port=1", NOW + timedelta(seconds=1.25), "error"),
        ("[12] 2026/05/04 12:00:02.000000 [ERR] no route", NOW + timedelta(seconds=2), "error"),
        ("[12] 2026/05/04 12:00:02.000000 [INF] listening", NOW + timedelta(seconds=2), "info"),
        ("2026-05-04 12:00:03.004 UTC [34] LOG:  ready", NOW + timedelta(seconds=3.004), "info"),
        ("2026-05-04 12:00:03.004 UTC [34] FATAL:  no role", NOW + timedelta(seconds=3.004), "critical"),
        ("Traceback (most recent call last):", BEGINNING, "info"),
        ('{"not": "a log line"', BEGINNING, "info"),
        ('{"timestamp": "soon", "level": "loud"}', BEGINNING, "info"),
        ("[12] 2026/99/04 12:00:02.000000 [INF] never", BEGINNING, "info"),
        ("", BEGINNING, "info"),
    ],
)
def test_a_line_tells_its_time_and_level(line: str, at: datetime, level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours, NATS's, PostgreSQL's, and what is none of them."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    entry = Story("x").entry(line)
    assert (entry.at, entry.level, entry.line) == (at, level, line)


def test_a_time_without_a_zone_is_this_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    """As NATS writes it."""
    monkeypatch.setenv("TZ", "XYZ-2")
    time.tzset()
    try:
        entry = Story("nats").entry("[12] 2026/05/04 14:00:02.000000 [INF] listening")
        assert entry.at == NOW + timedelta(seconds=2)
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_traceback_belongs_to_its_line() -> None:
    """It has the same time and level, so no filter tears them apart."""
    story = Story("api")
    first, second, third = map(story.entry, [ours(1, "x", "error"), "Traceback:", ours(2, "y")])
    assert (second.at, second.level) == (first.at, "error")
    assert third.level == "info"


def test_logs_are_merged_over_their_rotated_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every line once, in the order of time."""
    monkeypatch.setattr(platform_logs, "FILE_BYTES", 300)
    api, billing = (Log(name, tmp_path, None) for name in ("api", "billing"))
    for second in range(12):
        (api if second % 2 else billing).line(ours(second, f"e.{second}"))
    assert (tmp_path / "api.log.1").exists()
    read = [entry.fields["event"] for entry in recent(logs_in(tmp_path, [])) if entry.fields]
    assert read == [f"e.{second}" for second in range(12)]
    assert [e.service for e in recent(logs_in(tmp_path, ["billing"]))] == ["billing"] * 6


def test_what_is_added_is_followed_through_a_rotation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not one line is lost or doubled; half a line waits for its end."""
    monkeypatch.setattr(platform_logs, "FILE_BYTES", 300)
    log = Log("api", tmp_path, None)
    log.line(ours(0, "e.0"))
    tails = logs_in(tmp_path, ["api"])
    assert len(list(recent(tails))) == 1

    def write() -> None:
        for second in range(1, 6):
            log.line(ours(second, f"e.{second}"))
        with log.path.open("a") as file:
            file.write(ours(6, "e.6")[:20])
            file.flush()
            time.sleep(0.3)
            file.write(ours(6, "e.6")[20:] + "\n")

    Timer(0.1, write).start()
    read = [entry.fields["event"] for entry in islice(added(tails), 6) if entry.fields]
    assert read == [f"e.{second}" for second in range(1, 7)]


def test_levels_and_moments_choose_lines(tmp_path: Path) -> None:
    """On the command line."""
    (tmp_path / "logs").mkdir()
    lines = [ours(1, "a", "debug"), ours(2, "b", "warning"), "  more of b", ours(3, "c", "error"), ours(4, "d")]
    (tmp_path / "logs/api.log").write_text("".join(f"{line}\n" for line in lines))
    data = ["--data", str(tmp_path)]
    warned = penstock(*data, "--level", "warning").stdout.splitlines()
    assert warned == [f"api       | {line}" for line in lines[1:4]]
    late = penstock(*data, "--since", "2026-05-04T12:00:03Z").stdout.splitlines()
    assert late == [f"api       | {line}" for line in lines[3:]]
    assert penstock(*data, "-n", "2").stdout.splitlines() == late


def test_a_moment_is_a_span_or_a_time() -> None:
    """Anything else is said to be neither."""
    assert moment("90m", NOW) == NOW - timedelta(minutes=90)
    assert moment("2026-05-04T14:00:00+02:00", NOW) == NOW
    for wrong in ("soon", "10", "-5m", "9" * 5000, "0001-01-01T00:00:00+23:00"):
        with pytest.raises(ValueError, match="neither a span such as"):
            moment(wrong, NOW)


def test_refusals_say_what_there_is(tmp_path: Path) -> None:
    """No logs yet, a service that has none, and a span that is none."""
    nothing = penstock("--data", str(tmp_path))
    assert isinstance(nothing.exception, PlatformError)
    assert "make up" in str(nothing.exception)
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs/api.log").touch()
    unknown = penstock("--data", str(tmp_path), f"..{os.sep}credentials")
    assert isinstance(unknown.exception, PlatformError)
    assert str(unknown.exception) == "There is no log of '../credentials'; there are: api."
    assert "neither a span" in penstock("--data", str(tmp_path), "--since", "soon").output
