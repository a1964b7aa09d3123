"""Timings as people write them on a command line, and moments as they read them."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from penstock.expiry import SPAN, expiry_of

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
NOTES = {"skipped": "⚠ skipped by the clock: the end of the gap", "repeated": "⚠ the clock shows it twice"}


def seconds_of(text: str) -> int:
    """An interval in seconds: 90, or 30s, 5m, 1h, 1d, 1w. Raises ValueError."""
    if span := SPAN.fullmatch(text.strip()):
        return int(span[1]) * SECONDS[span[2]]
    if not text.strip().isdigit():
        raise ValueError(f"{text!r} is no interval; write it like 30s, 5m, 1h or 1d")
    return int(text)


def timing_fields(given: dict[str, Any], now: datetime) -> dict[str, Any]:
    """What the API takes, of the options that were given. Raises ValueError, its first argument naming the option."""
    readers = {
        "every": ("every_seconds", seconds_of),
        "at": ("at", lambda text: expiry_of(text, now).isoformat()),
        "start": ("start_at", lambda text: expiry_of(text, now).isoformat()),
        "end": ("end_at", lambda text: expiry_of(text, now).isoformat()),
    }
    fields: dict[str, Any] = {}
    for option, value in given.items():
        if value is None:
            continue
        name, read = readers.get(option, (option, str))
        try:
            fields[name] = read(value)
        except ValueError as error:
            raise ValueError(f"--{option}: {error}.") from error
    return fields


def input_of(text: str | None) -> Any:
    """JSON given as it is, or as `@file`. Raises ValueError."""
    if text is None:
        return None
    try:
        return json.loads(Path(text[1:]).read_text() if text.startswith("@") else text)
    except OSError as error:
        raise ValueError(f"--input: {text[1:]} can't be read ({error.strerror})") from error
    except ValueError as error:
        raise ValueError(f"--input is no JSON: {error}") from error


def when(schedule: dict[str, Any]) -> str:
    """A schedule's timing in a few words."""
    if schedule["cron"]:
        return f"{schedule['cron']} ({schedule['zone']})"
    if schedule["every_seconds"]:
        return f"every {span(schedule['every_seconds'])}"
    return f"once at {clock(schedule['at'])}"


def span(seconds: int) -> str:
    """Seconds in the largest unit that fits them: 90s, 5m, 1h."""
    unit, length = next((u, n) for u, n in reversed(SECONDS.items()) if seconds % n == 0)
    return f"{seconds // length}{unit}"


def clock(moment: str | None) -> str:
    """A moment without fractions of seconds, in UTC; a dash for none."""
    return moment[:19].replace("T", " ") + "Z" if moment else "-"
