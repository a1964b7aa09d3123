"""Templates: values put where their paths stand."""

from typing import Any

import pytest

from penstock_common.tasks.declaration import HttpStep, Message, ModelStep
from penstock_common.tasks.errors import ExpressionInvalid, RenderedTooLarge, TaskInvalid, ValueMissing
from penstock_common.tasks.rendering import rendered
from penstock_common.tasks.templates import placeholders, render, render_text

SCOPE: dict[str, Any] = {"input": {"n": 3, "name": "weir", "list": [1, "ü"], "braces": "{{ input.n }}", "none": None}}


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("{{ input.n }}", 3),
        ("{{input.list}}", [1, "ü"]),
        ("{{ input.none }}", None),
        ("n={{ input.n }}, {{ input.name }}", "n=3, weir"),
        ("all: {{ input.list }}", 'all: [1, "ü"]'),
        ("{{ input.braces }}", "{{ input.n }}"),
        ({"a": ["{{ input.n }}", {"{{ input.name }}": True}]}, {"a": [3, {"weir": True}]}),
        ("a } { b }} c", "a } { b }} c"),
        (7, 7),
    ],
)
def test_a_template_becomes(template: Any, value: Any) -> None:
    """A lone placeholder keeps its value's type; what a value brings along is never rendered again."""
    assert render(template, SCOPE) == value


def test_what_is_not_there_is_named() -> None:
    """An empty text in its place would do something else than was meant."""
    with pytest.raises(ValueMissing, match=r"input\.absent"):
        render_text("x {{ input.absent }}", SCOPE)


def test_what_grows_too_large_is_refused() -> None:
    """A few placeholders may multiply a large input."""
    with pytest.raises(RenderedTooLarge):
        render_text("{{ input }} {{ input }}" * 3, {"input": "x" * 300_000})


@pytest.mark.parametrize("text", ["{{ input.n", "{{ }}", "{{ input.n + 1 }}", "{{ f(x) }}", "{{ {{ input }} }}"])
def test_what_is_no_template_is_refused(text: str) -> None:
    """When it is declared."""
    with pytest.raises(ExpressionInvalid):
        list(placeholders(text))


def test_a_step_is_rendered_field_by_field() -> None:
    """Text stays text, a value of any type keeps its type, names and conditions are left alone."""
    step = HttpStep(name="a", when="input.n == 3", url="http://x/{{ input.n }}", body="{{ input.list }}")
    assert rendered(step, SCOPE) == HttpStep(name="a", when="input.n == 3", url="http://x/3", body=[1, "ü"])
    asked = ModelStep(name="b", model="m", messages=[Message(role="user", content="{{ input.list }}")])
    assert rendered(asked, SCOPE).messages[0].content == '[1, "ü"]'


def test_a_step_that_its_values_break_is_refused() -> None:
    """As an empty URL would be."""
    with pytest.raises(TaskInvalid, match="length"):
        rendered(HttpStep(name="a", url="{{ input }}"), {"input": ""})
