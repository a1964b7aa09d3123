"""Moments as a person names them: `10m`, `2h`, or a time."""

import re
from datetime import UTC, datetime, timedelta

SPAN = re.compile(r"(\d{1,6})([smhd])")
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def moment(text: str, now: datetime) -> datetime:
    """So long before `now`, or that time; one without a zone is this machine's. Raises ValueError."""
    if match := SPAN.fullmatch(text):
        return now - timedelta(seconds=int(match[1]) * SECONDS[match[2]])
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{text[:40]!r} is neither a span such as 30s, 10m, 2h, 1d nor a time in ISO 8601") from error
