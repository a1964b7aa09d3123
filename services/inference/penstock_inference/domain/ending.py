"""How a generation ends: what is charged, what is recorded, what the client is told."""

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from penstock_common.contracts.base import Decision
from penstock_common.contracts.generation import (
    AttemptCosted,
    GenerateText,
    GenerationCompleted,
    Measure,
    Outcome,
    Tokens,
)
from penstock_common.contracts.stream import Ended, Failure, Frame
from penstock_common.errors import Fault, PenstockError
from penstock_common.ids import text_of


class ModelUnknown(PenstockError):
    """The model is no longer in the catalogue."""

    code = "inference.model_unknown"
    fault = Fault.MISSING


class DeadlinePassed(PenstockError):
    """The request's deadline passed before it was answered; nothing is charged for what was not delivered."""

    code = "inference.deadline_passed"
    fault = Fault.TIMEOUT


class RecordsUnavailable(PenstockError):
    """New requests are refused while their end could not be recorded; try again shortly."""

    code = "inference.records_unavailable"
    fault = Fault.UNAVAILABLE


class Unrecorded(PenstockError):
    """The answer is complete but could not be recorded yet; ask for its result by the request id later."""

    code = "inference.unrecorded"
    fault = Fault.UNAVAILABLE


class Undeliverable(PenstockError):
    """The request could not be handled after several attempts."""

    code = "inference.undeliverable"
    fault = Fault.UNAVAILABLE


class Crashed(PenstockError):
    """Something went wrong inside the platform; the request was not charged."""

    code = "inference.crashed"
    fault = Fault.UNAVAILABLE


@dataclass(frozen=True, slots=True)
class Place:
    """Where an attempt ran, and at which price."""

    model: str
    deployment: str = ""
    provider: str = ""
    price_version: int = 0


@dataclass(frozen=True, slots=True)
class End:
    """The end of one attempt, ready to be recorded."""

    command: GenerateText
    attempt: int
    outcome: Outcome
    tokens: Tokens
    place: Place
    started_at: datetime
    ended_at: datetime
    first_token_at: datetime | None = None
    failure: Failure | None = None
    frames: list[Frame] = field(default_factory=list)
    """The whole answer from its beginning, the Ended frame last: what is sealed into the row."""
    decisions: list[Decision] = field(default_factory=list)

    def completed(self) -> GenerationCompleted:
        """The fact that the row's statement publishes."""
        c = self.command
        return GenerationCompleted(
            request_id=c.request_id,
            attempt=self.attempt,
            tenant=c.tenant,
            key_id=c.key_id,
            model=self.place.model,
            deployment=self.place.deployment,
            provider=self.place.provider,
            outcome=self.outcome,
            tokens=self.tokens,
            price_version=self.place.price_version,
            streamed=c.streamed,
            accepted_at=c.accepted_at,
            started_at=self.started_at,
            completed_at=self.ended_at,
            first_token_at=self.first_token_at,
            error_code=self.failure.code if self.failure else "",
            lane=c.lane,
            decisions=[*c.decisions, *self.decisions],
        )

    def costed(self) -> AttemptCosted:
        """What a losing attempt cost the provider's book."""
        return attempt_costed(self.command, self.attempt, self.place, self.tokens, self.ended_at)

    @property
    def ended(self) -> Ended:
        """The last frame."""
        last = self.frames[-1]
        assert isinstance(last, Ended)
        return last


def ungenerated(
    command: GenerateText,
    outcome: Outcome,
    decision: Decision,
    now: datetime,
    failure: Failure | None,
    attempt: int = 1,
) -> End:
    """The end of a request for which no engine was called: it costs nothing."""
    return End(
        command,
        attempt,
        outcome,
        Tokens(),
        Place(command.model),
        now,
        now,
        failure=failure,
        frames=[Ended(attempt, outcome, {}, {}, Tokens(), failure)],
        decisions=[decision],
    )


def attempt_costed(command: GenerateText, attempt: int, place: Place, tokens: Tokens, at: datetime) -> AttemptCosted:
    """The provider's side of an attempt that no customer pays for."""
    return AttemptCosted(
        request_id=command.request_id,
        attempt=attempt,
        tenant=command.tenant,
        model=place.model,
        deployment=place.deployment,
        provider=place.provider,
        tokens=tokens,
        price_version=place.price_version,
        completed_at=at,
    )


def failure_of(error: BaseException) -> Failure:
    """What the client is told of an error: of our own errors their code and sentence, of others nothing."""
    known = error if isinstance(error, PenstockError) else Crashed()
    retry_after = known.retry_after if known.fault.passes else 0.0
    return Failure(known.code, known.fault.value, known.public, retry_after)


def outcome_of(error: BaseException, produced: bool) -> Outcome:
    """A failure after the first token leaves a partial answer."""
    if produced:
        return Outcome.PARTIAL
    return Outcome.EXPIRED if isinstance(error, DeadlinePassed) else Outcome.FAILED


def charged(outcome: Outcome, tokens: Tokens | None, estimated: Tokens, produced: bool) -> Tokens:
    """The tokens that the customer pays for.

    A whole answer costs what the engine measured, or else the estimate. What was cut short costs what was
    generated, flagged partial; what produced nothing costs nothing.
    """
    if outcome is Outcome.SUCCEEDED:
        return tokens or estimated
    if not produced:
        return Tokens()
    return Tokens(estimated.prompt, estimated.completion, measure=Measure.PARTIAL)


def request_key(request_id: UUID) -> str:
    """The sealing context of a request."""
    return text_of(request_id)
