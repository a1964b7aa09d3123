"""What an attempt comes to: the end that is recorded, charged and told."""

from dataclasses import dataclass
from typing import Any

from penstock_common.contracts.base import Decision
from penstock_common.contracts.generation import Outcome, Tokens
from penstock_common.contracts.stream import Ended
from penstock_inference.domain.catalogue import Model
from penstock_inference.domain.continuing import Prefix
from penstock_inference.domain.ending import End, Place, charged, failure_of
from penstock_inference.domain.takeover import continued
from penstock_inference.generating.needs import Needs
from penstock_inference.generating.run import Run


@dataclass(frozen=True, slots=True)
class Conclusion:
    """What is known of an attempt once its engine has spoken."""

    run: Run
    model: Model | None
    body: dict[str, Any]
    prefix: Prefix
    """What its engine was given as the beginning of its answer."""
    route: Decision | None = None
    """Which engine was called; None where none was."""

    async def end(self, needs: Needs, outcome: Outcome, error: Exception | None) -> End:
        """The end, its text and its price; from here on a stop comes too late."""
        run = self.run
        run.task = None
        if run.command.streamed:  # what is told at once leaves with the end, in one message
            run.flush()
        tokens = await self._tokens(needs, outcome)
        failure = failure_of(error) if error else None
        finish = run.output.finish if outcome is Outcome.SUCCEEDED else {}
        ended = Ended(run.attempt, outcome, dict(finish), run.output.lengths(), tokens, failure)
        reason = failure.code if failure else run.stop_reason
        return End(
            command=run.command,
            attempt=run.attempt,
            outcome=outcome,
            tokens=tokens,
            place=place_of(run.command.model, self.model),
            started_at=run.started_at,
            ended_at=needs.clock.now(),
            first_token_at=run.first_token_at,
            failure=failure,
            frames=[*run.output.since({}, run.attempt), ended],
            decisions=[*run.decisions, *filter(None, [self.route]), Decision("generate", outcome.value, reason)],
        )

    async def _tokens(self, needs: Needs, outcome: Outcome) -> Tokens:
        """What the customer pays for: where an engine continued, what it was given counts as part of the answer."""
        produced = not self.run.output.is_empty
        given = self.run.used.tokens if self.run.used else None
        if given and self.prefix.text:
            given = continued(given, self.prefix.tokens)
        estimated = Tokens()
        if produced and (given is None or outcome is not Outcome.SUCCEEDED):
            estimated = await needs.tokenizer.estimate(self.body, self.run.output.text())
        return charged(outcome, given, estimated, produced)


def routed(model: Model, version: int) -> Decision:
    """That a model of this version of the catalogue is called where it runs."""
    return Decision("route", place_of(model.name, model).deployment, f"provider {model.provider}", version)


def place_of(name: str, model: Model | None) -> Place:
    """Where a model runs; a model no longer known keeps its name."""
    if model is None:
        return Place(name)
    return Place(
        model.name, f"{model.engine}:{model.upstream_model or model.name}", model.provider, model.price.version
    )
