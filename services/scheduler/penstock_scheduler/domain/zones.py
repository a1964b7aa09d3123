"""Time zones by their names in the IANA database."""

import difflib
import re
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo, available_timezones

from penstock_scheduler.domain.errors import ImpossibleTiming

NAME = re.compile(r"(?!posix/|right/)[A-Z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*")
LONGEST_NAME = 64
NOT_ZONES = frozenset({"Factory", "localtime", "posixrules"})


def zone_of(name: str) -> tzinfo:
    """The zone of a name. Raises ImpossibleTiming, with the nearest name that exists."""
    if name == "UTC":
        return UTC
    try:
        if len(name) > LONGEST_NAME or name in NOT_ZONES or not NAME.fullmatch(name):
            raise ValueError(name)
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError) as error:  # a folder of zones is an OSError
        near = difflib.get_close_matches(name[:LONGEST_NAME], available_timezones() - {name, *NOT_ZONES}, 1)
        advice = f"did you mean {near[0]}?" if near else "write one like Europe/Berlin, or UTC."
        raise ImpossibleTiming(f"`zone`: {name[:LONGEST_NAME]!r} is no time zone; {advice}", "zone") from error


def exists(local: datetime) -> bool:
    """Whether the zone's clock ever shows this local time."""
    return local.astimezone(UTC).astimezone(local.tzinfo).replace(tzinfo=None) == local.replace(tzinfo=None)


def is_repeated(local: datetime) -> bool:
    """Whether the zone's clock shows this local time twice (PEP 495)."""
    return exists(local) and local.replace(fold=0).utcoffset() != local.replace(fold=1).utcoffset()
