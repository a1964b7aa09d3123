"""What a message that is moved aside takes along."""

from dataclasses import dataclass
from datetime import UTC, datetime

from penstock_common.messaging.addressing import MOVED
from penstock_common.messaging.attempts import Story, continued, read_story, written_story
from penstock_common.messaging.deadletter import (
    ATTEMPTS,
    CONSUMER,
    FIRST,
    LAST,
    REASON,
    SEQUENCE,
    STORY,
    SUBJECT,
    number_of,
)
from penstock_common.messaging.nats.origin import Origin
from penstock_common.messaging.ports import Incoming, Outgoing
from penstock_common.messaging.topology import DEAD_LETTERS, QUARANTINE, Consumer


@dataclass(frozen=True, slots=True)
class Told:
    """How it went so far: attempts on this lane, the last reason, when it first failed (ISO 8601), what each said."""

    attempts: int
    reason: str
    first: str
    story: Story = ()


def dead(message: Incoming, lane: Consumer, origin: Origin, told: Told) -> Outgoing:
    """A message as a dead letter. Its id is that of the delivery, so that whoever notices twice buries once.

    And that of the message: a stream that lost its end on disk gives the same sequences to others.
    """
    headers = _headers(message, lane, origin, told)
    id_ = f"{lane.dead_letters}:{headers[SEQUENCE]}:{message.message_id}"
    return Outgoing(lane.dead_letters, DEAD_LETTERS.name, id_, headers, message.body)


def suspect(message: Incoming, lane: Consumer, origin: Origin, told: Told) -> Outgoing:
    """A message on its way to the quarantine lane, or once more to its end."""
    to = lane.quarantine or lane
    headers = _headers(message, lane, origin, told)
    id_ = f"{to.name}:{origin}:{message.message_id}"
    return Outgoing(to.topic.subject, QUARANTINE.name, id_, headers, message.body)


def _headers(message: Incoming, lane: Consumer, origin: Origin, told: Told) -> dict[str, str]:
    before = {} if lane.is_main else message.headers  # a lane derived from another continues its story
    earlier, whole = number_of(before.get(ATTEMPTS, "")), read_story(before.get(STORY, ""))
    for attempt in told.story:
        whole = continued(whole, attempt, earlier)
    own = {n: v for n, v in message.headers.items() if not n.startswith(MOVED)}
    return own | {
        CONSUMER: lane.inbox_name,
        SUBJECT: before.get(SUBJECT, message.subject),
        SEQUENCE: before.get(SEQUENCE, str(origin)),
        ATTEMPTS: str(told.attempts + earlier),
        REASON: told.reason,
        FIRST: before.get(FIRST, told.first),
        LAST: datetime.now(UTC).isoformat(),
        STORY: written_story(whole),
    }
