"""Which events are wanted: the same choice in memory and in SQL."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from uuid import UUID

import msgspec

from penstock_common.errors import Fault, PenstockError
from penstock_common.events.event import ASKING, StoredEvent
from penstock_common.messaging.envelope import CONTENT_TYPE, CORRELATION, TENANT
from penstock_common.messaging.topology import Kind

MOST_GLOBS = 50
MOST_IDS = 10_000
MOST_ATTRIBUTES = 20
TEXT_LENGTH = 256  # characters
PART = re.compile(r"[A-Za-z0-9_-]{1,128}")
ATTRIBUTE = re.compile(r"[a-z0-9]{1,20}")  # CloudEvents 1.0, naming convention of attributes
TRACE_ID = re.compile(r"[0-9a-f]{32}")
OWN = "penstock"
HEADERS = {"datacontenttype": CONTENT_TYPE, "traceparent": "traceparent"}
STORED = (Kind.EVENT, Kind.COMMAND)


class SelectionInvalid(PenstockError):
    """The selection of events can't be understood."""

    code = "common.selection_invalid"
    fault = Fault.INVALID


@dataclass(frozen=True)
class Selection:
    """Events that fulfil all that is given; what is left empty asks for nothing. Raises SelectionInvalid."""

    since: datetime | None = None
    """The first moment, by the time in the row's id, to the millisecond."""
    until: datetime | None = None
    """The first moment that is too late."""
    subjects: tuple[str, ...] = ()
    """Globs as NATS has them, of which one must fit: `*` is one part, a last `>` all that follows."""
    services: tuple[str, ...] = ()
    """Whose outboxes."""
    tenant: UUID | None = None
    correlation: str = ""
    trace_id: str = ""
    """32 hex digits."""
    message_ids: frozenset[str] = frozenset()
    attributes: Mapping[str, str] = field(default_factory=dict)
    """CloudEvents attributes by name, as they have to be to the letter; `penstock-tenant` is `penstocktenant`."""
    kinds: frozenset[Kind] = frozenset()
    """Events, commands."""

    def __post_init__(self) -> None:
        for what, given, most in (
            ("topics", self.subjects, MOST_GLOBS),
            ("ids", self.message_ids, MOST_IDS),
            ("attributes", self.attributes, MOST_ATTRIBUTES),
        ):
            if len(given) > most:
                raise SelectionInvalid(f"{len(given)} {what} are too many: {most} at most.")
        for moment in (self.since, self.until):
            if moment is not None and moment.tzinfo is None:
                raise SelectionInvalid(f"{moment} has no time zone.")
        for text in (self.correlation, *self.message_ids, *self.attributes.values()):
            if len(text) > TEXT_LENGTH or "\0" in text:
                raise SelectionInvalid(f"{text[:40]!r}… is longer than {TEXT_LENGTH} characters, or holds a NUL.")
        if self.trace_id and not TRACE_ID.fullmatch(self.trace_id):
            raise SelectionInvalid(f"{self.trace_id[:40]!r} is no trace id: 32 hex digits in lower case.")
        if unstored := self.kinds - frozenset(STORED):
            raise SelectionInvalid(f"{', '.join(sorted(unstored))}: outboxes keep events and commands.")
        _ = self.pattern, self.headers  # what they can't understand is refused at once

    @cached_property
    def pattern(self) -> str:
        """One regular expression of all globs, the same for Python and PostgreSQL; empty where there is none."""
        return "^({})$".format("|".join(pattern_of(glob) for glob in self.subjects)) if self.subjects else ""

    @cached_property
    def headers(self) -> dict[str, str]:
        """Headers that have to be there with these values."""
        wanted = {header_of(name): value for name, value in self.attributes.items()}
        if self.tenant:
            wanted[TENANT] = str(self.tenant)
        if self.correlation:
            wanted[CORRELATION] = self.correlation
        return wanted

    def matches(self, event: StoredEvent) -> bool:
        """Whether an event is wanted."""
        return (
            (self.since is None or event.id >= first_id(self.since))
            and (self.until is None or event.id < first_id(self.until))
            and (not self.pattern or re.search(self.pattern, event.subject) is not None)
            and (not self.services or event.service in self.services)
            and (not self.trace_id or event.trace_id == self.trace_id)
            and (not self.message_ids or event.message_id in self.message_ids)
            and (not self.kinds or event.kind in self.kinds)
            and self.headers.items() <= dict(event.headers).items()
        )

    def conditions(self, given: list[object]) -> str:
        """The same on a row of an outbox, but for the service; adds the values to `given`, by place ($1, $2, …)."""

        def put(value: object) -> str:
            given.append(value)
            return f"${len(given)}"

        parts: list[str] = []
        if self.since:
            parts += [f"day >= {put(self.since.astimezone(UTC).date())}", f"id >= {put(first_id(self.since))}"]
        if self.until:
            parts += [f"day <= {put(self.until.astimezone(UTC).date())}", f"id < {put(first_id(self.until))}"]
        if self.pattern:
            parts.append(f"subject ~ {put(self.pattern)}")
        if self.trace_id:
            parts.append(f"split_part(headers ->> 'traceparent', '-', 2) = {put(self.trace_id)}")
        if self.message_ids:
            parts.append(f"message_id = any({put(sorted(self.message_ids))}::text[])")
        if self.headers:
            parts.append(f"headers @> {put(msgspec.json.encode(self.headers).decode())}::jsonb")
        if len(self.kinds) == 1:
            asking = " or ".join(f"starts_with(subject, {put(prefix)})" for prefix in ASKING)
            parts.append(f"({asking})" if Kind.COMMAND in self.kinds else f"not ({asking})")
        return " and ".join(parts) or "true"


def pattern_of(glob: str) -> str:
    """A glob as a regular expression without anchors. Raises SelectionInvalid."""
    parts = glob.split(".")
    tail = ""
    if parts[-1] == ">":
        parts.pop()
        tail = r"\..+" if parts else ".+"
    if not all(part == "*" or PART.fullmatch(part) for part in parts):
        raise SelectionInvalid(
            f"{glob[:80]!r} is no topic: parts of letters, digits, _ and - between dots; "
            "`*` stands for one part and a last `>` for all that follow."
        )
    return r"\.".join("[^.]+" if part == "*" else part for part in parts) + tail


def header_of(attribute: str) -> str:
    """The header that carries a CloudEvents attribute. Raises SelectionInvalid."""
    if not ATTRIBUTE.fullmatch(attribute):
        raise SelectionInvalid(f"{attribute[:40]!r} is no CloudEvents attribute: up to 20 of a to z and 0 to 9.")
    if attribute in HEADERS:
        return HEADERS[attribute]
    return f"{OWN}-{attribute[len(OWN) :]}" if attribute.startswith(OWN) else f"ce-{attribute}"


def first_id(moment: datetime) -> UUID:
    """The least id that a uuid7 of this millisecond can have."""
    return UUID(int=max(0, int(moment.timestamp() * 1000)) << 80)
