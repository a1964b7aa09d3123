"""Events as a stream of NATS keeps them, by sequence; nothing on the server changes. RabbitMQ has no such thing."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlsplit
from uuid import UUID

import nats
from nats.errors import Error
from nats.js import JetStreamContext
from nats.js.api import RawStreamMsg
from nats.js.errors import APIError, NotFoundError

from penstock.events.choosing import ChoiceInvalid
from penstock.events.source import CannotRead
from penstock_common.events.event import StoredEvent
from penstock_common.events.selection import Selection, first_id
from penstock_common.ids import day_made
from penstock_common.messaging.connect import NATS
from penstock_common.messaging.envelope import MESSAGE_ID
from penstock_common.topology import PLATFORM

SECONDS = 5
ANY = ">"
NO_SEQUENCES = (
    "RabbitMQ keeps no sequences: its queues forget what was handled. "
    "Leave --stream out: the outboxes have every event, by --since, --after, …"
)


@dataclass(frozen=True, slots=True)
class Place:
    """From where in which stream."""

    stream: str
    sequence: int = 1


@asynccontextmanager
async def stream_of(bus: str, stream: str) -> AsyncIterator[JetStreamContext]:
    """A connection for reading this stream. Raises ChoiceInvalid, CannotRead."""
    known = [s.name for s in PLATFORM.streams]
    if stream not in known:
        raise ChoiceInvalid(f"--stream: there is no stream {stream[:40]!r}; there are {', '.join(known)}.")
    if urlsplit(bus).scheme not in NATS:
        raise ChoiceInvalid(f"--stream: {NO_SEQUENCES}")
    try:
        client = await nats.connect(bus, name="penstock-events", connect_timeout=SECONDS, **_once())
        try:
            yield client.jetstream(timeout=SECONDS)
        finally:
            await client.close()
    except NotFoundError as error:
        raise CannotRead(f"The bus has no stream {stream}; run: penstock topology apply") from error
    except (APIError, Error, OSError, TimeoutError) as error:
        raise CannotRead(f"The bus can't be read: {error or type(error).__name__}") from error


async def stream_events(
    js: JetStreamContext, place: Place, selection: Selection
) -> AsyncGenerator[tuple[int, StoredEvent]]:
    """Sequence and message of what is wanted, in order. Raises NotFoundError where there is no such stream."""
    last = (await js.stream_info(place.stream)).state.last_seq
    sequence = place.sequence
    while sequence <= last:
        try:
            found = await js.get_msg(place.stream, seq=sequence, subject=ANY, next=True)
        except NotFoundError:  # the last ones were removed meanwhile
            return
        assert found.seq is not None
        sequence = found.seq + 1
        if selection.matches(event := event_of(place.stream, found)):
            yield found.seq, event


def event_of(stream: str, found: RawStreamMsg) -> StoredEvent:
    """A stored message; in place of a row's id one of the moment at which the stream took it."""
    headers: Mapping[str, str] = {name.lower(): value for name, value in (found.headers or {}).items()}
    at = found.time or datetime.now(UTC)
    id_ = UUID(int=first_id(at).int | (found.seq or 0))
    return StoredEvent(
        service=headers.get("ce-source", "").removeprefix("penstock/"),
        day=day_made(id_),
        id=id_,
        subject=found.subject or "",
        stream=stream,
        message_id=headers.get(MESSAGE_ID, ""),
        headers=headers,
        body=found.data or b"",
        created_at=at,
        published_at=at,
    )


def _once() -> dict[str, object]:
    async def silent(_: Exception) -> None:
        """What fails is raised; nats-py would print a traceback besides."""

    return {"allow_reconnect": False, "max_reconnect_attempts": 1, "reconnect_time_wait": 0.1, "error_cb": silent}
