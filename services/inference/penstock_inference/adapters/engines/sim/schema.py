"""A small value that fits a JSON Schema: what the simulated engine answers where an object is asked for."""

from collections.abc import Callable
from typing import Any

DEPTH = 12  # a schema may refer to itself

Words = Callable[[], str]


def example(schema: Any, words: Words, root: dict[str, Any] | None = None, depth: int = 0) -> Any:
    """A value with every required property. `words` gives the next text."""
    if not isinstance(schema, dict) or depth > DEPTH:
        return None
    root = schema if root is None else root
    if "$ref" in schema:
        return example(resolved(root, schema["$ref"]), words, root, depth + 1)
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][0]
    for union in ("anyOf", "oneOf", "allOf"):
        if schema.get(union):
            return example(schema[union][0], words, root, depth + 1)
    return typed(kind_of(schema), schema, words, root, depth)


def typed(kind: str, schema: dict[str, Any], words: Words, root: dict[str, Any], depth: int) -> Any:
    """A value of one JSON type within the schema's bounds."""
    if kind == "object":
        properties = schema.get("properties") or {}
        required = schema.get("required") or ()
        return {name: example(properties.get(name, {}), words, root, depth + 1) for name in required}
    if kind == "array":
        return [example(schema.get("items", {}), words, root, depth + 1) for _ in range(schema.get("minItems", 0))]
    if kind in ("integer", "number"):
        low = schema.get("minimum", schema.get("exclusiveMinimum", 0) + ("exclusiveMinimum" in schema))
        return min(max(low, 1), schema.get("maximum", max(low, 1)))
    if kind == "boolean":
        return True
    if kind == "null":
        return None
    return words().ljust(schema.get("minLength", 0), ".")[: schema.get("maxLength")]


def kind_of(schema: dict[str, Any]) -> str:
    """The JSON type; the first one where several are allowed, text where none is named."""
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = kind[0] if kind else None
    return kind or ("object" if "properties" in schema else "string")


def resolved(root: dict[str, Any], reference: Any) -> Any:
    """What a local reference (`#/$defs/…`) points at; None for any other."""
    found: Any = root
    for part in str(reference).removeprefix("#").strip("/").split("/"):
        found = found.get(part) if isinstance(found, dict) and part else found
    return found
