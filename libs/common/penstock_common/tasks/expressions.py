"""Conditions and paths: the part of Python's expression grammar that can neither call nor change anything.

`steps.judge.output.json.ok == false and steps.count.output.after.failures >= 2`. Names that Python reserves, and such
that are no identifiers, are written as `input["class"]`. JSON's `true`, `false` and `null` are literals.
"""

import ast
from collections.abc import Iterator, Mapping
from typing import Any, Final

from penstock_common.tasks.errors import ExpressionInvalid

MAX_LENGTH = 500  # characters; also bounds the depth of everything below
LITERALS: Final = {"true": True, "false": False, "null": None}

Scope = Mapping[str, Any]
Path = tuple[str | int, ...]


class Missing:
    """The value of a path that leads nowhere."""

    def __repr__(self) -> str:
        return "missing"


MISSING: Final = Missing()


def parse(text: str) -> ast.expr:
    """The tree of an expression. Raises ExpressionInvalid, whose sentence says what is not allowed."""
    if len(text) > MAX_LENGTH:
        raise ExpressionInvalid(f"an expression has at most {MAX_LENGTH} characters")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ExpressionInvalid(f"{text!r} is not an expression such as `steps.check.output.ok == false`") from error
    for node in ast.walk(tree):
        _check(node, text)
    return tree


def paths_of(tree: ast.expr) -> Iterator[Path]:
    """Every path that an expression looks up."""
    path = path_of(tree)
    if path is not None:
        yield path
        return
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.expr):
            yield from paths_of(child)


def path_of(tree: ast.expr) -> Path | None:
    """The path, where an expression is nothing but one."""
    if isinstance(tree, ast.Name):
        return None if tree.id in LITERALS else (tree.id,)
    if isinstance(tree, ast.Attribute):
        above = path_of(tree.value)
        return None if above is None else (*above, tree.attr)
    if isinstance(tree, ast.Subscript) and isinstance(tree.slice, ast.Constant):
        above = path_of(tree.value)
        return None if above is None else (*above, tree.slice.value)  # type: ignore[arg-type]
    return None


def look_up(path: Path, scope: Scope) -> Any:
    """The value at a path, or MISSING."""
    value: Any = scope
    for part in path:
        if not _leads(value, part):
            return MISSING
        value = value[part]
    return value


def _leads(value: Any, part: str | int) -> bool:
    if isinstance(value, list):
        return isinstance(part, int) and 0 <= part < len(value)
    return isinstance(value, Mapping) and part in value


def holds(tree: ast.expr, scope: Scope) -> bool:
    """Whether a condition is true; what is missing counts as null."""
    return bool(_value(tree, scope))


def _value(tree: ast.expr, scope: Scope) -> Any:
    if isinstance(tree, ast.BoolOp):
        truths = (bool(_value(part, scope)) for part in tree.values)
        return all(truths) if isinstance(tree.op, ast.And) else any(truths)
    if isinstance(tree, ast.UnaryOp):
        value = _value(tree.operand, scope)
        return not bool(value) if isinstance(tree.op, ast.Not) else -value if _is_number(value) else None
    if isinstance(tree, ast.Compare):
        return _compared(tree, scope)
    if isinstance(tree, ast.Constant):
        return tree.value
    if isinstance(tree, ast.Name) and tree.id in LITERALS:
        return LITERALS[tree.id]
    path = path_of(tree)
    found = MISSING if path is None else look_up(path, scope)
    return None if found is MISSING else found


def _compared(tree: ast.Compare, scope: Scope) -> bool:
    left = _value(tree.left, scope)
    for operator, comparator in zip(tree.ops, tree.comparators, strict=True):
        right = _value(comparator, scope)
        if not _holds(operator, left, right):
            return False
        left = right
    return True


def _holds(operator: ast.cmpop, left: Any, right: Any) -> bool:
    if isinstance(operator, ast.Eq | ast.NotEq):
        return _same(left, right) == isinstance(operator, ast.Eq)
    if isinstance(operator, ast.In | ast.NotIn):
        return _within(left, right) == isinstance(operator, ast.In)
    if not any(kind(left) and kind(right) for kind in (_is_number, _is_text)):
        return False
    if isinstance(operator, ast.Lt):
        return bool(left < right)
    if isinstance(operator, ast.LtE):
        return bool(left <= right)
    return bool(left > right if isinstance(operator, ast.Gt) else left >= right)


def _within(item: Any, container: Any) -> bool:
    if isinstance(container, str):
        return isinstance(item, str) and item in container
    if isinstance(container, Mapping | list):
        return any(_same(item, known) for known in container)
    return False


def _same(left: Any, right: Any) -> bool:
    """JSON's equality: unlike Python's, `true` is not 1."""
    return isinstance(left, bool) == isinstance(right, bool) and bool(left == right)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


NODES = (
    ast.BoolOp,
    ast.UnaryOp,
    ast.Compare,
    ast.Constant,
    ast.Name,
    ast.Attribute,
    ast.Subscript,
    ast.boolop,
    ast.Not,
    ast.USub,
    ast.cmpop,
    ast.expr_context,
)


def _check(node: ast.AST, text: str) -> None:
    if not isinstance(node, NODES) or isinstance(node, ast.Is | ast.IsNot):
        raise ExpressionInvalid(
            f"{text!r} may hold paths, literals, and, or, not, in, == != < <= > >=; not {type(node).__name__}"
        )
    if isinstance(node, ast.Constant) and not isinstance(node.value, str | int | float):
        raise ExpressionInvalid(f"{text!r} holds a literal that JSON does not have; write true, false, null")
    if isinstance(node, ast.Subscript) and not (
        isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str | int)
    ):
        raise ExpressionInvalid(f'{text!r}: brackets take a literal, such as [0] or ["name"]')
    if isinstance(node, ast.Attribute | ast.Subscript) and path_of(node) is None:
        raise ExpressionInvalid(f"{text!r}: only a path can be looked into")
