"""Conditions: what holds, and what can't even be written."""

from typing import Any

import pytest

from penstock_common.tasks.errors import ExpressionInvalid
from penstock_common.tasks.expressions import holds, parse, paths_of

SCOPE: dict[str, Any] = {
    "input": {"n": 3, "name": "weir", "tags": ["a", "b"], "class": "x", "one": 1, "none": None},
    "steps": {"judge": {"ok": True, "output": {"json": {"ok": False}}}},
}


@pytest.mark.parametrize(
    "condition",
    [
        "steps.judge.output.json.ok == false",
        "steps.judge.ok and not steps.judge.output.json.ok",
        "input.n >= 3 and input.n < 4 and 1 < input.n <= 3",
        "input.name == 'weir' or input.absent.deeper",
        "'a' in input.tags and 'c' not in input.tags",
        "'ei' in input.name",
        "input.tags[0] == 'a' and input.tags[1] == 'b'",
        'input["class"] == "x"',
        "input.absent == null and input.none == null",
        "not (input.n == '3')",
        "input.n == -(-3)",
    ],
)
def test_a_condition_holds(condition: str) -> None:
    """Over JSON values."""
    assert holds(parse(condition), SCOPE)


@pytest.mark.parametrize(
    "condition",
    [
        "input.one == true",
        "input.n > 'a'",
        "input.absent > 0",
        "input.absent < 0",
        "input.tags[5] == 'a'",
        "input.name.upper",
        "input.tags.append",
        "input.n in input.n",
        "null in input.tags",
    ],
)
def test_a_condition_does_not_hold(condition: str) -> None:
    """Kinds that differ are never equal, greater or smaller; Python's own attributes are not there."""
    assert not holds(parse(condition), SCOPE)


@pytest.mark.parametrize(
    "text",
    [
        "open('f')",
        "input.n + 1",
        "[x for x in input.tags]",
        "lambda: 1",
        "input.n if 1 else 2",
        "input.tags[0:1]",
        "input[steps]",
        "(1).real",
        "'a'.join",
        "b'a' == input.n",
        "1j",
        "...",
        "input.n is null",
        "f'{input}'",
        "x := 1",
        "",
        "a b",
        "a\0b",
        "(" * 240 + "1" + ")" * 240,
        "not " * 200,
        "x" * 501,
    ],
)
def test_what_can_do_harm_is_no_expression(text: str) -> None:
    """Calls, arithmetic, comprehensions, absurd depths: refused when they are declared."""
    with pytest.raises(ExpressionInvalid):
        parse(text)


def test_the_deepest_expression_is_evaluated() -> None:
    """The limit of its length bounds its depth."""
    assert holds(parse("not " * 124 + "1"), {})


def test_paths_are_found_wherever_they_stand() -> None:
    """So that a declaration is refused that names a step that is not there."""
    tree = parse("not (steps.a.ok or input['x'].y in steps.b[0]) and true")
    assert list(paths_of(tree)) == [("steps", "a", "ok"), ("input", "x", "y"), ("steps", "b", 0)]
