"""Prometheus's alert rules: what is wrong with them, by the metrics that the documents name."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import promql_parser
import yaml

ROW = re.compile(r"^\| `(?P<name>\w+)` \| (?P<kind>\w+) \| (?P<labels>[^|]*) \|", re.MULTILINE)
OF_HISTOGRAMS = ("_bucket", "_sum", "_count")
BY_SCRAPING = {"up": {"job", "instance"}}
"""What Prometheus itself tells of a target."""
TARGET = {"job", "instance"}
SEVERITIES = ("page", "ticket")
SUMMARY_LENGTH = 200  # characters


@dataclass(frozen=True)
class Rules:
    """What rules may refer to."""

    labels: Mapping[str, set[str]]
    """By metric."""
    root: Path
    """Where the runbooks' paths begin."""

    def problems(self, text: str) -> list[str]:
        """One line for each thing that is wrong with a file of rules."""
        rules = [rule for group in yaml.safe_load(text)["groups"] for rule in group["rules"]]
        names = [rule["alert"] for rule in rules]
        twice = {name for name in names if names.count(name) > 1}
        return [*(f"{name}: is there twice" for name in sorted(twice)), *(p for r in rules for p in self._of(r))]

    def _of(self, rule: Mapping[str, Any]) -> Iterator[str]:
        name, annotations = rule["alert"], rule.get("annotations", {})
        if rule.get("labels", {}).get("severity") not in SEVERITIES:
            yield f"{name}: its severity is none of {', '.join(SEVERITIES)}"
        if not 0 < len(annotations.get("summary", "")) <= SUMMARY_LENGTH:
            yield f"{name}: has no summary, or a long one"
        if not (self.root / annotations.get("runbook", "-")).is_file():
            yield f"{name}: its runbook is not there: {annotations.get('runbook')}"
        if "for" in rule and not _is_duration(rule["for"]):
            yield f"{name}: {rule['for']!r} is no duration"
        yield from (f"{name}: {problem}" for problem in self._of_expression(rule["expr"]))

    def _of_expression(self, expression: str) -> Iterator[str]:
        try:
            selectors = list(selectors_of(expression))
        except ValueError as error:
            yield f"is no PromQL: {str(error).splitlines()[0]}"
            return
        for metric, labels in selectors:
            known = self._labels_of(metric)
            if known is None:
                yield f"{metric} is no metric"
            elif unknown := labels - known - TARGET:
                yield f"{metric} has no label {', '.join(sorted(unknown))}"

    def _labels_of(self, metric: str) -> set[str] | None:
        for suffix in ("", *OF_HISTOGRAMS):
            if metric.endswith(suffix) and (found := self.labels.get(metric.removesuffix(suffix))) is not None:
                return found | ({"le"} if suffix else set())
        return None


def selectors_of(expression: str) -> Iterator[tuple[str, set[str]]]:
    """(metric, labels asked for) of all that an expression reads. Raises ValueError for what is no PromQL."""
    found: list[tuple[str, set[str]]] = []

    def visit(node: Any) -> bool:
        if isinstance(node, promql_parser.VectorSelector):
            found.append((str(node.name), {matcher.name for matcher in node.matchers.matchers}))
        return True

    promql_parser.walk(promql_parser.parse(expression), visit)
    yield from found


def labels_in(metrics_page: str) -> dict[str, set[str]]:
    """Labels by metric, as docs/metrics.md has them."""
    rows = {row["name"]: set(re.findall(r"`(\w+)`", row["labels"])) for row in ROW.finditer(metrics_page)}
    return rows | BY_SCRAPING


def _is_duration(text: str) -> bool:
    try:
        promql_parser.parse_duration(text)
    except ValueError:
        return False
    return True
