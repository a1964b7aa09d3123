"""Prometheus's alert rules are PromQL about metrics that exist, each with a runbook."""

import re
from pathlib import Path

import pytest
import yaml

from tests.contract import make_metrics
from tests.support.alerts import Rules, labels_in, selectors_of

ROOT = Path(__file__).parents[2]
ALERTS = ROOT / "deploy" / "prometheus" / "alerts.yaml"
RUNBOOKS = ROOT / "docs" / "runbooks"
RULES = Rules(labels_in(make_metrics.PATH.read_text()), ROOT)
ALERT_NAMES = re.findall(r"`(Penstock\w+)`", "\n".join(path.read_text() for path in RUNBOOKS.iterdir()))


def test_every_rule_is_right() -> None:
    """Expressions parse, metrics and labels exist, runbooks are there."""
    assert RULES.problems(ALERTS.read_text()) == []


def test_each_runbook_belongs_to_an_alert_and_names_it() -> None:
    """No page that nobody is sent to, none that is about something else."""
    rules = [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]
    linked = {rule["annotations"]["runbook"] for rule in rules}
    assert linked == {str(path.relative_to(ROOT)) for path in RUNBOOKS.iterdir()}
    assert {rule["alert"] for rule in rules} == set(ALERT_NAMES)


def test_what_matters_most_has_an_alert() -> None:
    """Losses, dead letters, lag, stuck lanes, the archive."""
    rules = [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]
    watched = {metric for rule in rules for metric, _ in selectors_of(rule["expr"])}
    assert watched >= {
        "penstock_audit_messages",
        "penstock_dead_letters_unacknowledged",
        "penstock_outbox_oldest_seconds",
        "penstock_bus_stuck",
        "penstock_archive_waiting_seconds",
        "penstock_archive_damaged_total",
    }


PLANTED = [
    ('penstock_audit_messages{state="missing"}', "penstock_audit_massages", "penstock_audit_massages is no metric"),
    ('{state="missing"}', '{stat="missing"}', "penstock_audit_messages has no label stat"),
    ("max by (consumer) (penstock_bus_stuck) == 1", "max by (consumer (penstock_bus_stuck) == 1", "is no PromQL"),
    ("[10m]))", "[10 m]))", "is no PromQL"),
    ("runbooks/lane-stuck.md", "runbooks/lane-stack.md", "its runbook is not there: docs/runbooks/lane-stack.md"),
    ("severity: page", "severity: high", "its severity is none of page, ticket"),
    ("for: 3m", "for: 3 minutes", "'3 minutes' is no duration"),
    ("alert: PenstockLaneStuck", "alert: PenstockLaneBehind", "PenstockLaneBehind: is there twice"),
    ("summary: ", "sumary: ", "has no summary"),
]


@pytest.mark.parametrize(("right", "wrong", "said"), PLANTED)
def test_a_fault_of_a_rule_is_named(right: str, wrong: str, said: str) -> None:
    """Each check can fail."""
    text = ALERTS.read_text()
    assert right in text
    assert any(said in problem for problem in RULES.problems(text.replace(right, wrong)))
