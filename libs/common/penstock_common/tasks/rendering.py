"""A step as it is carried out: its templates replaced by values."""

from typing import Any, TypeVar

import msgspec

from penstock_common.tasks.declaration import Declared
from penstock_common.tasks.errors import TaskInvalid
from penstock_common.tasks.expressions import Scope
from penstock_common.tasks.templates import render, render_text

D = TypeVar("D", bound=Declared)


def rendered(part: D, scope: Scope) -> D:
    """The same part with values in place of templates. Raises ValueMissing, RenderedTooLarge, TaskInvalid.

    A field of any type keeps the type of a value that is its whole template; elsewhere values become text.
    """
    free = {field.name for field in msgspec.structs.fields(type(part)) if field.type is Any}
    changes = {
        name: render(getattr(part, name), scope) if name in free else _rendered(getattr(part, name), scope)
        for name in part.__struct_fields__
        if name not in part.plain
    }
    try:
        return msgspec.convert(msgspec.to_builtins(msgspec.structs.replace(part, **changes)), type(part))
    except msgspec.ValidationError as error:
        raise TaskInvalid(f"with its values the step is not valid: {error}") from error


def _rendered(value: Any, scope: Scope) -> Any:
    if isinstance(value, str):
        return render_text(value, scope)
    if isinstance(value, Declared):
        return rendered(value, scope)
    if isinstance(value, list):
        return [_rendered(item, scope) for item in value]
    return render(value, scope)
