"""The documents under docs/ are what the code says, and what their standards ask for."""

import json
import re
from pathlib import Path

import pytest
from jsonschema import Draft7Validator
from openapi_spec_validator import validate

from tests.contract import make_asyncapi, make_metrics, make_openapi

SCHEMA = Path(__file__).parent / "schemas" / "asyncapi-3.0.0.json"
FRESH = {maker.PATH.name: maker for maker in (make_openapi, make_asyncapi, make_metrics)}


@pytest.mark.parametrize("name", FRESH)
def test_the_file_is_what_the_code_says(name: str) -> None:
    """`python -m tests.contract.make_documents` writes it; two runs give the same bytes."""
    maker = FRESH[name]
    assert maker.PATH.read_text() == maker.text() == maker.text()


def test_openapi_keeps_its_standard() -> None:
    """OpenAPI 3.1, references included."""
    document = json.loads(make_openapi.PATH.read_text())
    assert document["openapi"].startswith("3.1.")
    validate(document)


def test_asyncapi_keeps_its_standard() -> None:
    """By the schema of AsyncAPI 3.0.0 itself."""
    document = json.loads(make_asyncapi.PATH.read_text())
    assert list(Draft7Validator(json.loads(SCHEMA.read_text())).iter_errors(document)) == []


def test_asyncapis_schema_can_refuse() -> None:
    """A channel whose address is a number is none."""
    document = json.loads(make_asyncapi.PATH.read_text())
    document["channels"]["wrong"] = {"address": 5}
    assert list(Draft7Validator(json.loads(SCHEMA.read_text())).iter_errors(document))


def test_metrics_are_named_alike() -> None:
    """`penstock_…` in snake case, each with a meaning; seconds are said where time is measured."""
    for metric in make_metrics.metrics():
        assert re.fullmatch(r"penstock_[a-z][a-z0-9_]*", metric.name), metric
        assert metric.meaning, metric
        assert metric.kind != "histogram" or metric.name.endswith(("_seconds", "_bytes", "_tokens")), metric


def test_labels_are_bounded() -> None:
    """Each label is one whose values the code, the topology or the catalogue limits; a new one says what limits it."""
    unknown = {m.name: set(m.labels) - set(make_metrics.LABELS) for m in make_metrics.metrics()}
    assert {name: labels for name, labels in unknown.items() if labels} == {}
