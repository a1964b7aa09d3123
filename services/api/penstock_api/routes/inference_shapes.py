"""What the routes of requests give."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from penstock_api.ports.generations import Known
from penstock_common.contracts.generation import Measure

EXAMPLE: dict[str, Any] = {
    "id": "01936f3e-8f2a-7c31-9d2e-5b8f6a1c0d4e",
    "state": "succeeded",
    "model": "sim/fast",
    "asked": "fast",
    "streamed": True,
    "lane": "interactive",
    "attempts": 1,
    "tokens": {"prompt": 9, "completion": 3, "cached": 0, "reasoning": 0, "measure": "measured"},
    "error_code": "",
    "accepted_at": "2030-01-31T12:00:00Z",
    "deadline": "2030-01-31T12:05:00Z",
    "started_at": "2030-01-31T12:00:00.010Z",
    "first_token_at": "2030-01-31T12:00:00.210Z",
    "ended_at": "2030-01-31T12:00:01Z",
    "decisions": [{"step": "generate", "outcome": "succeeded", "reason": ""}],
}


class TokensView(BaseModel):
    """What is charged; `cached` is part of `prompt`, `reasoning` of `completion`."""

    prompt: int
    completion: int
    cached: int
    reasoning: int
    measure: Measure = Field(description="Whether the engine counted them, or they are estimated.")


class DecisionView(BaseModel):
    """One choice that was made about the request, and why."""

    step: str
    outcome: str
    reason: str


class InferenceView(BaseModel):
    """A request for inference and what became of it."""

    model_config = ConfigDict(json_schema_extra={"example": EXAMPLE})

    id: UUID
    state: str = Field(
        description="`queued`, `running`, `succeeded`, `partial`, `cancelled`, `expired`, `failed` or `lost`."
    )
    model: str
    asked: str = Field(description="The model as the request named it.")
    streamed: bool
    lane: str
    attempts: int = Field(description="How often it was begun; 0 where it waits, or where that is not known.")
    position: int | None = Field(
        None, description="Its place among those that wait, from 1; null where it does not wait."
    )
    expected_wait_seconds: float | None = Field(
        None, description="Until it begins, by the pace of late; null where that is not known."
    )
    tokens: TokensView | None = Field(description="Once it has ended.")
    error_code: str = Field(description="Why it did not succeed; empty otherwise.")
    accepted_at: datetime
    deadline: datetime
    started_at: datetime | None
    first_token_at: datetime | None
    ended_at: datetime | None
    decisions: list[DecisionView]


def view_of(known: Known) -> InferenceView:
    """A request in the names of its routes."""
    about, state = known.about, known.state
    return InferenceView(
        id=known.request_id,
        state=state.outcome,
        model=about.model,
        asked=about.asked or about.model,
        streamed=about.streamed,
        lane=about.lane,
        attempts=state.attempt,
        position=state.position,
        expected_wait_seconds=state.expected_wait_seconds,
        tokens=TokensView.model_validate(state.tokens, from_attributes=True) if state.tokens else None,
        error_code=state.error_code,
        accepted_at=about.accepted_at,
        deadline=about.deadline,
        started_at=state.started_at,
        first_token_at=state.first_token_at,
        ended_at=state.ended_at,
        decisions=[DecisionView.model_validate(decision, from_attributes=True) for decision in state.decisions],
    )
