"""Which runner carries out which kind of step."""

from dataclasses import dataclass
from typing import Any

from penstock_common.clock import Clock
from penstock_common.guarded_http import GuardedHttp
from penstock_common.sealing import Sealer
from penstock_common.tasks.declaration import (
    AgentStep,
    AnyStep,
    HttpStep,
    ModelStep,
    RunStep,
    SearchStep,
    StateStep,
    WebhookStep,
)
from penstock_worker.ports import Queries, Runners, StepRunner
from penstock_worker.running.steps.agent import AgentSteps
from penstock_worker.running.steps.http import HttpRunner
from penstock_worker.running.steps.model import ModelRunner
from penstock_worker.running.steps.run import RunRunner
from penstock_worker.running.steps.search import SearchRunner
from penstock_worker.running.steps.state import StateRunner
from penstock_worker.running.steps.webhook import WebhookRunner


@dataclass(frozen=True, slots=True)
class Means:
    """What steps reach the outside by."""

    http: GuardedHttp
    queries: Queries
    sealer: Sealer
    clock: Clock


def make_runners(means: Means) -> Runners:
    """Every kind that this version has."""
    runners: dict[type[AnyStep], StepRunner[Any]] = {
        ModelStep: ModelRunner(),
        HttpStep: HttpRunner(means.http),
        SearchStep: SearchRunner(means.queries),
        WebhookStep: WebhookRunner(means.http, means.clock),
        RunStep: RunRunner(means.sealer, means.clock),
        StateStep: StateRunner(),
    }
    runners[AgentStep] = AgentSteps(runners)
    return runners
