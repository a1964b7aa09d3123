"""Whether a declaration is a task; what is wrong is said with its place and what is allowed there."""

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from penstock_common.errors import PenstockError
from penstock_common.tasks.declaration import KINDS, TASK_NAME, AnyStep, Declared, Task
from penstock_common.tasks.errors import ExpressionInvalid, TaskInvalid
from penstock_common.tasks.expressions import Path, parse, paths_of
from penstock_common.tasks.templates import placeholders

MAX_BYTES = 64 * 1024
ROOTS = ("input", "steps", "run")
REDACTED = "whsec_(kept)"
PATTERNS = {
    "a-z0-9_": "1 to 32 characters of a-z 0-9 _, the first a letter",
    "whsec_": "`whsec_` and 24 to 64 bytes in Base64",
}


def task_of(declaration: Any) -> Task:
    """The task of a JSON value. Raises TaskInvalid."""
    try:
        task = msgspec.convert(declaration, Task)
    except msgspec.ValidationError as error:
        raise TaskInvalid(_explained(str(error))) from error
    if len(msgspec.json.encode(task)) > MAX_BYTES:
        raise TaskInvalid("the declaration is larger than 64 KiB; put large texts into the run's input")
    known: set[str] = set()
    for position, step in enumerate(task.steps):
        _check_step(step, known, f"steps[{position}]")
        known.add(step.name)
    for path, text in _texts("output", task.output):
        _check_text(text, known, path)
    return task


def check_task_name(name: str) -> None:
    """Raises TaskInvalid."""
    if not re.fullmatch(TASK_NAME, name):
        raise TaskInvalid("`name` must be 1 to 64 characters of a-z 0-9 . _ -, with a letter or digit at both ends")


def redacted(declaration: dict[str, Any]) -> dict[str, Any]:
    """A declaration without the secrets of its webhooks."""
    steps = [{**step, "secret": REDACTED} if "secret" in step else step for step in declaration.get("steps", [])]
    return {**declaration, "steps": steps}


def _check_step(step: AnyStep, known: set[str], place: str) -> None:
    if step.name in known:
        raise TaskInvalid(f"`{place}.name`: another step is called {step.name!r}; names must differ")
    if step.when:
        _check_condition(step.when, known, f"{place}.when")
    for path, text in template_texts(step, place):
        _check_text(text, known, path)


def template_texts(part: Declared, place: str) -> Iterator[tuple[str, str]]:
    """(place, text) of every template in a part of a declaration."""
    for name in part.__struct_fields__:
        if name not in part.plain:
            yield from _texts(f"{place}.{name}", getattr(part, name))


def _texts(place: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, Declared):
        yield from template_texts(value, place)
    elif isinstance(value, list):
        for position, item in enumerate(value):
            yield from _texts(f"{place}[{position}]", item)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _texts(place, key)
            yield from _texts(f"{place}.{key}", item)


def _check_text(text: str, known: set[str], place: str) -> None:
    try:
        for path in placeholders(text):
            _check_path(path, known)
    except PenstockError as error:
        raise TaskInvalid(f"`{place}`: {error.message}") from error


def _check_condition(text: str, known: set[str], place: str) -> None:
    try:
        for path in paths_of(parse(text)):
            _check_path(path, known)
    except PenstockError as error:
        raise TaskInvalid(f"`{place}`: {error.message}") from error


def _check_path(path: Path, known: set[str]) -> None:
    root = path[0]
    if root not in ROOTS:
        raise ExpressionInvalid(f"a path begins with one of {', '.join(ROOTS)}, not with {root!r}")
    if root == "steps" and (len(path) == 1 or path[1] not in known):
        named = repr(path[1]) if len(path) > 1 else "none"
        raise ExpressionInvalid(f"`steps` is followed by the name of an earlier step ({named} is none)")


def _explained(said: str) -> str:
    """What the decoder says, in the words of a declaration."""
    what, _, where = said.partition(" - at `")
    place = where.rstrip("`").removeprefix("$.").removeprefix("$")
    for pattern, meaning in PATTERNS.items():
        if "matching regex" in what and pattern in what:
            what = f"must be {meaning}"
    if place.endswith(".kind") or "field `kind`" in what:
        what = f"{what}; it is one of {', '.join(KINDS)}"
    return f"`{place}`: {what}" if place else what
