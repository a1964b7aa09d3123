"""Dead letters on RabbitMQ: what the settler carries along, and what the server alone can tell."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from penstock_common.messaging.attempts import NO_WORD, Attempt, continued, read_story, written_story
from penstock_common.messaging.deadletter import ATTEMPTS, CONSUMER, FIRST, LAST, REASON, STORY, SUBJECT, number_of
from penstock_common.messaging.envelope import ORIGINAL
from penstock_common.messaging.topology import Consumer

Death = Mapping[str, Any]
"""An entry of `x-death`."""

DEATHS = "dlq-deaths"
"""Attempts that ended without a word, before the message was last published."""
EARLIER = "dlq-earlier"
"""Attempts before the message was moved to the quarantine lane, where they count from 1 again."""

WAITED = "expired"  # the death of a message in a retry level: not a failure


def story(
    headers: Mapping[str, str], subject: str, attempts: int, reason: str, failure: Attempt | None = None
) -> dict[str, str]:
    """The headers of a message's next life, after a failed attempt."""
    now, earlier = datetime.now(UTC).isoformat(), number_of(headers.get(EARLIER, ""))
    whole = written_story(continued(read_story(headers.get(STORY, "")), failure, earlier))
    begun = {FIRST: now, SUBJECT: subject, **headers}
    return {**begun, ATTEMPTS: str(attempts), REASON: reason, LAST: now, STORY: whole}


def complete(headers: dict[str, str], deaths: Sequence[Death], consumer: str) -> None:
    """Tell the story of a message that the server buried by itself.

    It does not say how often it was delivered: the attempts are those that ended with a word, plus the last.
    """
    last = deaths[0]
    told = int(headers.get(ATTEMPTS, 0)) + int(headers.pop(EARLIER, 0)) + int(headers.pop(DEATHS, 0))
    headers |= {CONSUMER: consumer, ATTEMPTS: str(told + 1), LAST: when(last)}
    headers[REASON] = f"{last['reason']} of queue {last['queue']} reached without an answer"
    _begin(headers, deaths)


def suspect(headers: dict[str, str], deaths: Sequence[Death], lane: Consumer) -> None:
    """Tell the story of a message that was moved to its quarantine lane, where attempts count from 1 again."""
    told = int(headers.get(ATTEMPTS, 0)) + lane.isolate_after
    headers |= {EARLIER: str(told), ATTEMPTS: "0", DEATHS: "0", REASON: NO_WORD}
    _begin(headers, deaths)


def deaths_of(table: Mapping[str, Any]) -> Sequence[Death]:
    """What `x-death` says, newest first, without the waiting in retry levels."""
    return [death for death in table.get("x-death") or () if death["reason"] != WAITED]


def _begin(headers: dict[str, str], deaths: Sequence[Death]) -> None:
    headers.setdefault(FIRST, when(deaths[-1]))
    headers.setdefault(SUBJECT, headers.get(ORIGINAL) or str(deaths[-1]["routing-keys"][0]))


def when(death: Death) -> str:
    """The time of an `x-death` entry, in ISO 8601."""
    time = death["time"]
    moment = time if isinstance(time, datetime) else datetime.fromtimestamp(time, UTC)
    return moment.astimezone(UTC).isoformat()
