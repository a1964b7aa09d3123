"""What is charged, recorded and told at the end."""

import inspect

import pytest

from penstock_common.contracts.generation import Measure, Outcome, Tokens
from penstock_common.errors import DatabaseUnavailable, PenstockError
from penstock_inference.domain import ending
from penstock_inference.domain.ending import DeadlinePassed, charged, failure_of, outcome_of
from penstock_inference.domain.errors import EngineCut, EngineOverloaded, EngineRefused

GIVEN = Tokens(10, 4, 2, 1)
ESTIMATED = Tokens(9, 3, measure=Measure.ESTIMATED)
PARTIAL = Tokens(9, 3, measure=Measure.PARTIAL)
NOTHING = Tokens()


@pytest.mark.parametrize(
    ("outcome", "given", "produced", "expected"),
    [
        (Outcome.SUCCEEDED, GIVEN, True, GIVEN),
        (Outcome.SUCCEEDED, GIVEN, False, GIVEN),
        (Outcome.SUCCEEDED, None, True, ESTIMATED),
        *((outcome, given, True, PARTIAL) for given in (GIVEN, None) for outcome in Outcome if outcome != "succeeded"),
        *((outcome, given, False, NOTHING) for given in (GIVEN, None) for outcome in Outcome if outcome != "succeeded"),
    ],
)
def test_charge_by_outcome(outcome: Outcome, given: Tokens | None, produced: bool, expected: Tokens) -> None:
    """A whole answer by its measure or estimate; a cut one by what was generated; nothing for nothing."""
    assert charged(outcome, given, ESTIMATED, produced) == expected


@pytest.mark.parametrize(
    ("error", "produced", "outcome"),
    [
        (DeadlinePassed(), False, Outcome.EXPIRED),
        (DeadlinePassed(), True, Outcome.PARTIAL),
        (EngineCut(), False, Outcome.FAILED),
        (EngineCut(), True, Outcome.PARTIAL),
        (ValueError(), False, Outcome.FAILED),
    ],
)
def test_outcome_by_error(error: Exception, produced: bool, outcome: Outcome) -> None:
    """What the client holds decides whether it is partial."""
    assert outcome_of(error, produced) is outcome


@pytest.mark.parametrize(
    ("error", "retry_after"),
    [(EngineOverloaded("Wait.", 17), 17.0), (EngineRefused("No."), 0.0), (DatabaseUnavailable(), 5.0)],
)
def test_failure_says_when_to_come_back_only_if_that_helps(error: PenstockError, retry_after: float) -> None:
    """What was wrong with the request will be wrong again."""
    failure = failure_of(error)
    assert (failure.code, failure.fault, failure.message) == (error.code, error.fault.value, error.message)
    assert failure.retry_after == retry_after


def test_foreign_error_tells_nothing_of_itself() -> None:
    """No word of it reaches the client."""
    assert "secret" not in repr(failure_of(RuntimeError("secret")))


@pytest.mark.parametrize(
    "error",
    [
        e
        for _, e in inspect.getmembers(ending, inspect.isclass)
        if issubclass(e, PenstockError) and e is not PenstockError
    ],
    ids=lambda e: e.code,
)
def test_every_error_has_a_sentence(error: type[PenstockError]) -> None:
    """A person who reads it knows what happened."""
    assert error().message.endswith(".")
    assert error.code.startswith("inference.")
