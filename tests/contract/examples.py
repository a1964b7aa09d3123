"""An example of any contract, made from its types: the same one each time."""

from datetime import UTC, datetime
from enum import Enum
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints
from uuid import NAMESPACE_OID, UUID, uuid5

import msgspec

MOMENT_MS = 1_767_225_600_000  # 2026-01-01T00:00:00Z


def example(contract: type[Any], *, every: bool) -> Any:
    """An instance with its required fields only, or with `every` field at something else than its default."""
    hints = get_type_hints(contract)
    given = {
        field.name: _value(hints[field.name], field.name, every)
        for field in msgspec.structs.fields(contract)
        if every or field.required
    }
    return contract(**given)


def _value(kind: Any, name: str, every: bool) -> Any:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return _value(next(a for a in arguments if a is not NoneType), name, every)
    if origin is list:
        return [_value(arguments[0], name, every)]
    if origin is dict:
        return {_value(arguments[0], f"{name}_key", every): _value(arguments[1], name, every)}
    if kind is Any:
        return name
    if issubclass(kind, msgspec.Struct):
        return example(kind, every=every)
    if issubclass(kind, Enum):
        return list(kind)[-1]
    return _scalar(kind, name)


def _scalar(kind: Any, name: str) -> Any:
    """A value that tells by itself which field it belongs to."""
    number = sum(name.encode())
    if kind is UUID:
        return UUID(int=MOMENT_MS << 80 | 7 << 76 | 2 << 62 | uuid5(NAMESPACE_OID, name).int & (1 << 62) - 1)
    if kind is datetime:
        return datetime.fromtimestamp(MOMENT_MS / 1000 + number, UTC)
    values: dict[Any, Any] = {str: name, bytes: name.encode(), int: number, float: number / 4, bool: True}
    return values[kind]
