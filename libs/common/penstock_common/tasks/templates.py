"""Templates: `{{ path }}` within text. No code, no loops: a value is put where its path stands."""

import json
import re
from collections.abc import Iterator
from typing import Any

from penstock_common.tasks.errors import ExpressionInvalid, RenderedTooLarge, ValueMissing
from penstock_common.tasks.expressions import MISSING, Path, Scope, look_up, parse, path_of

MAX_RENDERED = 1 << 20  # characters
PLACEHOLDER = re.compile(r"\{\{(.{0,500}?)\}\}", re.DOTALL)


def placeholders(text: str) -> Iterator[Path]:
    """The paths that a text names. Raises ExpressionInvalid."""
    for match in PLACEHOLDER.finditer(text):
        yield _path(match)
    if "{{" in PLACEHOLDER.sub("", text):
        raise ExpressionInvalid("a `{{` is not closed by `}}` within 500 characters")


def render(value: Any, scope: Scope) -> Any:
    """A JSON value with every text in it rendered; a text that is one placeholder becomes the value itself.

    Raises ValueMissing, RenderedTooLarge.
    """
    if isinstance(value, str):
        whole = PLACEHOLDER.fullmatch(value)
        return _found(whole, scope) if whole else render_text(value, scope)
    if isinstance(value, dict):
        return {render_text(key, scope): render(item, scope) for key, item in value.items()}
    if isinstance(value, list):
        return [render(item, scope) for item in value]
    return value


def render_text(text: str, scope: Scope) -> str:
    """A text with each placeholder replaced: texts as they are, anything else as JSON.

    Raises ValueMissing, RenderedTooLarge.
    """
    parts, size, end = [], 0, 0
    for match in PLACEHOLDER.finditer(text):
        parts += [text[end : match.start()], as_text(_found(match, scope))]
        end = match.end()
        size += len(parts[-2]) + len(parts[-1])
        if size > MAX_RENDERED:
            raise RenderedTooLarge
    return "".join([*parts, text[end:]])


def as_text(value: Any) -> str:
    """A value as it stands within text."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _found(match: re.Match[str], scope: Scope) -> Any:
    value = look_up(_path(match), scope)
    if value is MISSING:
        raise ValueMissing(f"`{match.group()}` names a value that is not there")
    return value


def _path(match: re.Match[str]) -> Path:
    path = path_of(parse(match.group(1)))
    if path is None:
        raise ExpressionInvalid(f"`{match.group()}` must name one value, such as `{{{{ input.url }}}}`")
    return path
