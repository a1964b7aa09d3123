"""JSON without the ambiguities that parsers disagree about (RFC 8259 §4, §7, §8.1)."""

import json
import math
import re
from collections.abc import Iterator
from typing import Any, NoReturn

from penstock_api.domain.errors import InvalidRequest

DEPTH = 64
DIGITS = 30  # of an integer; longer ones are nobody's parameter
BOM = b"\xef\xbb\xbf"

SUSPECT = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")
"""Escapes that may make a NUL or a lone surrogate."""


def parse(raw: bytes) -> Any:
    """The value of a UTF-8 JSON text. Raises InvalidRequest, whose sentence says what is wrong and where."""
    if raw.startswith(BOM):
        raise InvalidRequest("The body begins with a byte order mark; send UTF-8 without one.")
    try:
        value = _DECODER.decode(raw.decode())
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"The body is not UTF-8: byte {error.start + 1} can't be read.") from error
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise InvalidRequest(f"The body is not valid JSON: {error.msg} at {where}.") from error
    except RecursionError as error:
        raise _too_deep() from error
    if SUSPECT.search(raw) or raw.count(b"[") + raw.count(b"{") > DEPTH:
        _inspect(value)
    return value


def _inspect(value: Any) -> None:
    """Refuse what the text alone made suspect, naming the place."""
    for path, depth, item in _walk(value):
        if depth > DEPTH:
            raise _too_deep()
        if not isinstance(item, str):
            continue
        where = f"at {path}" if path else "at the top"
        if "\0" in item:
            raise InvalidRequest(f"The body holds a NUL character {where}; remove it.", path)
        if not _encodable(item):
            raise InvalidRequest(f"The body holds a lone surrogate {where}; send whole characters.", path)


def _walk(value: Any) -> Iterator[tuple[str, int, Any]]:
    """(path, depth, value) of everything inside, member names included."""
    waiting: list[tuple[str, int, Any]] = [("", 1, value)]
    while waiting:
        path, depth, item = waiting.pop()
        yield path, depth if isinstance(item, dict | list) else 0, item
        if isinstance(item, dict):
            for key, inner in item.items():
                yield path, 0, key
                waiting.append((f"{path}.{key}" if path else key, depth + 1, inner))
        elif isinstance(item, list):
            waiting += [(f"{path}[{i}]", depth + 1, inner) for i, inner in enumerate(item)]


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _too_deep() -> InvalidRequest:
    return InvalidRequest(f"The body is nested deeper than {DEPTH} levels.")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise InvalidRequest(f"The body has the member {json.dumps(twice[:80])} twice in one object.")
    return members


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise InvalidRequest(f"The number {text[:40]} is too large.")
    return value


def _int(text: str) -> int:
    if len(text) > DIGITS:
        raise InvalidRequest(f"The number {text[:40]} is too large.")
    return int(text)


def _constant(text: str) -> NoReturn:
    raise InvalidRequest(f"{text} is not a JSON number.")


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_float=_float, parse_int=_int, parse_constant=_constant)
