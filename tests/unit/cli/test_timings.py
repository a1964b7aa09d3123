"""Timings of the command line, written and read."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from penstock.timings import clock, input_of, seconds_of, span, timing_fields, when

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("30s", 30), ("5m", 300), ("2h", 7200), ("1d", 86_400)])
def test_intervals_are_read_and_written(text: str, seconds: int) -> None:
    """With a unit or in seconds; back again in the largest unit that fits."""
    assert seconds_of(text) == seconds
    assert seconds_of(span(seconds)) == seconds


def test_options_become_what_the_api_takes() -> None:
    """Only those that were given; spans count from now."""
    options = {"cron": None, "zone": "Europe/Berlin", "every": "5m", "at": None, "start": "1h", "end": "2030-01-31"}
    assert timing_fields(options, NOW) == {
        "zone": "Europe/Berlin",
        "every_seconds": 300,
        "start_at": "2026-11-21T13:00:00+00:00",
        "end_at": "2030-01-31T00:00:00+00:00",
    }


@pytest.mark.parametrize(("option", "value"), [("every", "soon"), ("every", "-5"), ("at", "2020-01-01"), ("end", "x")])
def test_what_can_not_be_read_names_its_option(option: str, value: str) -> None:
    """And says how it is written."""
    with pytest.raises(ValueError, match=f"--{option}"):
        timing_fields({option: value}, NOW)


def test_an_input_is_json_or_a_file(tmp_path: Path) -> None:
    """Nothing is null; what is neither is said."""
    (tmp_path / "input.json").write_text('{"a": 1}')
    assert (input_of(None), input_of("[1]"), input_of(f"@{tmp_path}/input.json")) == (None, [1], {"a": 1})
    for text in ("{", f"@{tmp_path}/none.json"):
        with pytest.raises(ValueError, match="--input"):
            input_of(text)


def test_a_timing_is_told_in_a_few_words() -> None:
    """Each kind in its own."""
    nothing: dict[str, Any] = {"cron": None, "zone": "UTC", "every_seconds": None, "at": None}
    assert when(nothing | {"cron": "0 9 * * *", "zone": "Europe/Berlin"}) == "0 9 * * * (Europe/Berlin)"
    assert when(nothing | {"every_seconds": 90}) == "every 90s"
    assert when(nothing | {"at": "2026-11-21T12:00:00.123456Z"}) == "once at 2026-11-21 12:00:00Z"
    assert clock(None) == "-"
