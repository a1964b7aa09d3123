"""When something ends, as people write it."""

import re
from datetime import UTC, datetime, timedelta

SPAN = re.compile(r"(\d{1,6})([smhdw])")
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
EXAMPLES = "30d, 12h, 2w, 2030-01-31 or 2030-01-31T12:00+00:00"


def expiry_of(text: str, now: datetime) -> datetime:
    """The end of a span from `now`, or a date or time (UTC where it says nothing). Raises ValueError."""
    if span := SPAN.fullmatch(text.strip()):
        try:
            return now + timedelta(**{UNITS[span[2]]: int(span[1])})
        except OverflowError as error:
            raise ValueError(f"{text} is too far away") from error
    try:
        end = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise ValueError(f"{text!r} is no time; write it like {EXAMPLES}") from error
    end = end if end.tzinfo else end.replace(tzinfo=UTC)
    if end <= now:
        raise ValueError(f"{text} lies in the past")
    return end
