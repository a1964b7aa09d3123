"""Which dead letters a command is about, as the API takes it."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from penstock.timings import seconds_of

PATH = "/api/v1/admin/dead-letters"
PAGE = 100
EVERY_STATE = ("waiting", "acknowledged", "due", "retried", "dropped")


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What was said on the command line; None does not choose."""

    consumer: str | None = None
    topic: str | None = None
    tenant: str | None = None
    code: str | None = None
    states: tuple[str, ...] = ()
    older: str | None = None
    newer: str | None = None

    def fields(self, now: datetime) -> dict[str, Any]:
        """The API's own names for them. Raises ValueError, whose sentence names the option."""
        given: dict[str, Any] = {
            "consumer": self.consumer,
            "topic": self.topic,
            "tenant": self.tenant,
            "code": self.code,
            "failed_before": _ago(self.older, now, "--older"),
            "failed_since": _ago(self.newer, now, "--newer"),
        }
        if unknown := sorted(set(self.states) - {*EVERY_STATE, "all"}):
            raise ValueError(f"--state: {unknown[0]!r} is none of {', '.join(EVERY_STATE)}, all.")
        if self.states:
            given["states"] = list(EVERY_STATE if "all" in self.states else self.states)
        return {name: value for name, value in given.items() if value is not None}


def query_of(fields: dict[str, Any], **more: str | None) -> str:
    """The same as the query of a list."""
    named = {("state" if name == "states" else name): value for name, value in fields.items()}
    return urlencode({**named, **{name: value for name, value in more.items() if value is not None}}, doseq=True)


def now_utc() -> datetime:
    """The current time."""
    return datetime.now(UTC)


def _ago(text: str | None, now: datetime, option: str) -> str | None:
    if text is None:
        return None
    try:
        return (now - timedelta(seconds=seconds_of(text))).isoformat()
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{option}: {error}.") from error
