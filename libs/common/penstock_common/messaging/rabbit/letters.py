"""Dead letters on RabbitMQ: what the settler carries along, and what the server alone can tell."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from penstock_common.messaging.deadletter import ATTEMPTS, CONSUMER, FIRST, LAST, REASON, SUBJECT

DEATHS = "dlq-deaths"
"""Attempts that ended without a word, before the message was last published."""
EARLIER = "dlq-earlier"
"""Attempts before the message was moved to the quarantine lane, where they count from 1 again."""

PREFIX = "dlq."
WAITED = "expired"  # the death of a message in a retry level: not a failure


def story(headers: Mapping[str, str], subject: str, attempts: int, reason: str) -> dict[str, str]:
    """The headers of a message's next life, after a failed attempt."""
    now = datetime.now(UTC).isoformat()
    return {FIRST: now, SUBJECT: subject, **headers, ATTEMPTS: str(attempts), REASON: reason, LAST: now}


def complete(headers: dict[str, str], table: Mapping[str, Any], routing_key: str) -> None:
    """Fill in, from `x-death`, the story of a message that the server buried by itself.

    It does not say how often it was delivered: the attempts are those that ended with a word, plus the last.
    """
    deaths = [d for d in table.get("x-death") or () if d["reason"] != WAITED]
    if not deaths or not routing_key.startswith(PREFIX):
        return
    last = deaths[0]
    told = int(headers.get(ATTEMPTS, 0)) + int(headers.pop(EARLIER, 0)) + int(headers.pop(DEATHS, 0))
    headers |= {CONSUMER: routing_key.removeprefix(PREFIX), ATTEMPTS: str(told + 1), LAST: when(last)}
    headers[REASON] = f"{last['reason']} of queue {last['queue']} reached without an answer"
    headers.setdefault(FIRST, when(last))
    headers.setdefault(SUBJECT, str(last["routing-keys"][0]))


def when(death: Mapping[str, Any]) -> str:
    """The time of an `x-death` entry, in ISO 8601."""
    time = death["time"]
    moment = time if isinstance(time, datetime) else datetime.fromtimestamp(time, UTC)
    return moment.astimezone(UTC).isoformat()
