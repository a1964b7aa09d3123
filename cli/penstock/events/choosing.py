"""What an operator's options say about which events are wanted."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

from penstock.logs.since import moment
from penstock.platform.credentials import SERVICES
from penstock.platform.errors import PlatformError
from penstock_common.errors import Fault
from penstock_common.events.selection import Selection
from penstock_common.messaging.topology import Kind


class ChoiceInvalid(PlatformError):
    """An option can't be understood."""

    code = "cli.choice_invalid"
    fault = Fault.INVALID
    exit_status = 2


@dataclass(frozen=True, slots=True)
class Choice:
    """The options as they were written."""

    since: str = ""
    until: str = ""
    topics: Sequence[str] = ()
    services: Sequence[str] = ()
    tenant: str = ""
    correlation: str = ""
    trace_id: str = ""
    ids: Sequence[str] = ()
    attributes: Sequence[str] = field(default=())
    """`name=value` each."""
    kind: str = ""


def selection_of(choice: Choice, now: datetime | None = None) -> Selection:
    """The events that the options describe. Raises ChoiceInvalid, SelectionInvalid."""
    now = now or datetime.now(UTC)
    return Selection(
        since=_moment("--since", choice.since, now),
        until=_moment("--until", choice.until, now),
        subjects=tuple(choice.topics),
        services=tuple(_service(name) for name in choice.services),
        tenant=id_of("--tenant", choice.tenant) if choice.tenant else None,
        correlation=choice.correlation,
        trace_id=choice.trace_id.lower(),
        message_ids=frozenset(choice.ids),
        attributes=dict(_attribute(text) for text in choice.attributes),
        kinds=frozenset({Kind(choice.kind)} if choice.kind else ()),
    )


def id_of(option: str, text: str) -> UUID:
    """A uuid that an option gives. Raises ChoiceInvalid."""
    try:
        return UUID(text)
    except ValueError as error:
        raise ChoiceInvalid(f"{option}: {text[:80]!r} is no id; ids look like {UUID(int=0)}.") from error


def _moment(option: str, text: str, now: datetime) -> datetime | None:
    try:
        return moment(text, now) if text else None
    except ValueError as error:
        raise ChoiceInvalid(f"{option}: {error}.") from error


def _service(name: str) -> str:
    if name not in SERVICES:
        raise ChoiceInvalid(f"--service: there is no service {name[:40]!r}; there are {', '.join(SERVICES)}.")
    return name


def _attribute(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator:
        raise ChoiceInvalid(f"--attribute: {text[:80]!r} is not NAME=VALUE, such as source=penstock/billing.")
    return name.strip().lower(), value
