"""One line of a log, whatever wrote it: our services, NATS, PostgreSQL."""

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

LEVELS = ("debug", "info", "warning", "error", "critical")
PLAIN = {name: name for name in LEVELS}
POSTGRES_WORDS = {"log": "info", "fatal": "critical", "panic": "critical"}
NATS_WORDS = {"dbg": "debug", "trc": "debug", "inf": "info", "wrn": "warning", "err": "error", "ftl": "critical"}
WORDS = PLAIN | POSTGRES_WORDS | NATS_WORDS
BEGINNING = datetime.min.replace(tzinfo=UTC)

OURS = re.compile(r"(?P<at>\d{4}-\d\d-\d\dT[\d:.]+Z) \[(?P<level>\w+) *\]")
NATS = re.compile(r"\[\d+\] (?P<at>\d{4}/\d\d/\d\d [\d:.]+) \[(?P<level>\w{3})\]")
POSTGRES = re.compile(r"(?P<at>\d{4}-\d\d-\d\d [\d:.]+) (?P<zone>\w+) \[\d+\] (?P<level>[A-Z]+)")


@dataclass(frozen=True, slots=True)
class Entry:
    """A line with what it says of itself; a line without a time continues the one before it."""

    service: str
    at: datetime
    level: str
    line: str
    fields: dict[str, Any] | None = None
    """Of a line that is JSON."""

    def is_at_least(self, level: str) -> bool:
        """Whether it is as bad as that, or worse."""
        return LEVELS.index(self.level) >= LEVELS.index(level)

    def as_data(self) -> dict[str, Any]:
        """For scripts."""
        told = self.fields if self.fields is not None else {"event": self.line}
        at = None if self.at == BEGINNING else self.at.isoformat()
        return told | {"service": self.service, "level": self.level, "timestamp": at}


class Story:
    """The lines of one log in their order."""

    def __init__(self, service: str) -> None:
        self._service, self._at, self._level = service, BEGINNING, "info"

    def entry(self, line: str) -> Entry:
        """The next line."""
        fields = _json(line)
        at, level = _told(line, fields)
        if at is not None:
            self._at, self._level = at, level or "info"
        return Entry(self._service, self._at, self._level, line, fields)


def _json(line: str) -> dict[str, Any] | None:
    if not line.startswith("{"):
        return None
    try:
        content = json.loads(line)
    except ValueError:
        return None
    return content if isinstance(content, dict) else None


def _told(line: str, fields: dict[str, Any] | None) -> tuple[datetime | None, str | None]:
    if fields is not None:
        return _time(str(fields.get("timestamp"))), WORDS.get(str(fields.get("level")))
    match = OURS.match(line) or NATS.match(line) or POSTGRES.match(line)
    if not match:
        return None, None
    is_local = match.re is NATS or (match.re is POSTGRES and match["zone"] not in {"UTC", "GMT"})
    at = _time(match["at"].replace("/", "-"), is_local=is_local)
    return at, WORDS.get(match["level"].lower(), "info")


def _time(text: str, *, is_local: bool = False) -> datetime | None:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    if at.tzinfo is None:
        at = at.astimezone() if is_local else at.replace(tzinfo=UTC)
    return at.astimezone(UTC)
