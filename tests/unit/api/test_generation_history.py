"""What api's own history says of a request that nobody else knows of."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from penstock_api.adapters.request_history import known_of

ID = UUID("01936f3e-8f2a-7c31-9d2e-5b8f6a1c0d4e")
NOW = datetime(2030, 1, 1, tzinfo=UTC)


def row(status: str, deadline: datetime | None = NOW, attempt: int = 0) -> dict[str, Any]:
    """A row of api.requests."""
    return {
        "request_id": ID,
        "tenant": ID,
        "key_id": ID,
        "model": "sim/fast",
        "streamed": True,
        "lane": "interactive",
        "status": status,
        "attempt": attempt,
        "prompt_tokens": 3,
        "completion_tokens": 2,
        "decisions": '[{"step": "accept", "outcome": "interactive", "reason": "api-1"}]',
        "accepted_at": NOW - timedelta(minutes=5),
        "deadline": deadline,
        "ended_at": None,
    }


@pytest.mark.parametrize(
    ("status", "after", "state", "code"),
    [
        ("accepted", 0, "queued", ""),
        ("accepted", 61, "lost", "api.answer_lost"),
        ("refused", 0, "failed", "common.bus_unavailable"),
        ("lost", 0, "lost", "api.answer_lost"),
        ("cancelled", 0, "cancelled", ""),
    ],
)
def test_states(status: str, after: int, state: str, code: str) -> None:
    """What was accepted waits, until long after its deadline; what was refused has failed."""
    known = known_of(row(status), NOW + timedelta(seconds=after))
    assert (known.state.outcome, known.state.error_code) == (state, code)
    assert known.has_ended is (state != "queued")
    assert not known.is_complete


def test_an_end_has_its_tokens() -> None:
    """What was only accepted has none."""
    assert known_of(row("accepted"), NOW).state.tokens is None
    tokens = known_of(row("succeeded", None, attempt=1), NOW).state.tokens
    assert tokens is not None
    assert (tokens.prompt, tokens.completion) == (3, 2)
