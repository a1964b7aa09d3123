"""What a client of a released document could no longer rely on in today's: one sentence a difference."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

Json = Any

METHODS = ("get", "post", "put", "patch", "delete")
LOWER_BOUNDS = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
UPPER_BOUNDS = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")


class Side(Enum):
    """Who writes what a schema describes."""

    SENT = "sent"
    """By clients: what they may write must stay welcome."""
    GIVEN = "given"
    """To clients: what they read must stay there."""
    BOTH = "both"
    """By either of two releases to the other, as on the bus."""

    @property
    def is_sent(self) -> bool:
        """Whether an older release writes it."""
        return self is not Side.GIVEN

    @property
    def is_given(self) -> bool:
        """Whether an older release reads it."""
        return self is not Side.SENT


@dataclass
class Pair:
    """Two documents with what is being compared in them, so that recursive schemas end."""

    old: Json
    new: Json
    seen: set[tuple[str, str, Side]] = field(default_factory=set)

    def schemas(self, old: Json, new: Json, side: Side, at: str) -> Iterator[str]:
        """What changed for the worse between two schemas."""
        if isinstance(old, dict) and isinstance(new, dict) and "$ref" in old and "$ref" in new:
            known = old["$ref"], new["$ref"], side
            if known in self.seen:
                return
            self.seen.add(known)
        before, now = alternatives(self.old, old), alternatives(self.new, new)
        if len(before) == len(now) == 1:
            yield from self.forms(before[0], now[0], side, at)
            return
        if side.is_sent:
            yield from (
                f"{at}: {named(one)} is no longer taken" for one in before if not self.fits_any(one, now, Side.SENT)
            )
        if side.is_given:
            yield from (f"{at}: may now be {named(one)}" for one in now if not self.fits_given(one, before))

    def fits_any(self, one: Json, others: list[Json], side: Side) -> bool:
        """Whether an old form is as good as one of today's."""
        return any(not list(Pair(self.old, self.new, set(self.seen)).forms(one, o, side, "")) for o in others)

    def fits_given(self, one: Json, before: list[Json]) -> bool:
        """Whether one of today's forms was to be expected before."""
        return any(not list(Pair(self.old, self.new, set(self.seen)).forms(o, one, Side.GIVEN, "")) for o in before)

    def forms(self, old: Json, new: Json, side: Side, at: str) -> Iterator[str]:
        """The same for two schemas that are no unions."""
        if types(old) != types(new) and not is_wider(old, new, side):
            yield f"{at}: its type was {named(old)}, is {named(new)}"
            return
        yield from values(old, new, side, at)
        yield from bounds(old, new, side, at)
        yield from self.properties(old, new, side, at)
        for inner in ("items", "additionalProperties"):
            if isinstance(old.get(inner), dict) and isinstance(new.get(inner), dict):
                yield from self.schemas(old[inner], new[inner], side, f"{at}[]")

    def properties(self, old: Json, new: Json, side: Side, at: str) -> Iterator[str]:
        """The same for the members of two objects."""
        before, now = old.get("properties", {}), new.get("properties", {})
        needed, needed_now = set(old.get("required", ())), set(new.get("required", ()))
        yield from (f"{at}.{name}: is gone" for name in before if name not in now)
        if side.is_sent:
            yield from (f"{at}.{name}: is required now" for name in sorted(needed_now - needed))
        if side.is_given:
            yield from (f"{at}.{name}: is not always there now" for name in sorted((needed - needed_now) & set(now)))
        for name in before:
            if name in now:
                yield from self.schemas(before[name], now[name], side, f"{at}.{name}")


def resolved(document: Json, part: Json) -> Json:
    """A part with its reference followed (RFC 6901)."""
    while isinstance(part, dict) and "$ref" in part:
        found = document
        for step in part["$ref"].removeprefix("#/").split("/"):
            found = found[step.replace("~1", "/").replace("~0", "~")]
        part = found
    return {} if part is True else part


def alternatives(document: Json, schema: Json) -> list[Json]:
    """The forms that a schema allows, unions within unions opened."""
    schema = resolved(document, schema)
    if union := schema.get("anyOf") or schema.get("oneOf"):
        return [form for one in union for form in alternatives(document, one)]
    if isinstance(kinds := schema.get("type"), list):
        return [schema | {"type": kind} for kind in kinds]
    return [schema]


def types(schema: Json) -> str:
    """The JSON type that a schema without unions says or implies; empty for any."""
    if "type" in schema:
        return str(schema["type"])
    if constants := allowed(schema):
        kinds = {type(value).__name__ for value in constants}
        return {"str": "string", "int": "integer", "bool": "boolean", "NoneType": "null"}.get(kinds.pop(), "")
    return "object" if "properties" in schema else ""


def is_wider(old: Json, new: Json, side: Side) -> bool:
    """Whether the new type takes, or in an answer needs, no more than the old one."""
    if side is Side.BOTH:
        return False
    narrow, wide = (old, new) if side is Side.SENT else (new, old)
    return types(wide) == "" or (types(narrow), types(wide)) == ("integer", "number")


def allowed(schema: Json) -> list[Any] | None:
    """The values of an enumeration or constant; None where any value is allowed."""
    if "const" in schema:
        return [schema["const"]]
    values: list[Any] | None = schema.get("enum")
    return values


def values(old: Json, new: Json, side: Side, at: str) -> Iterator[str]:
    """Values that were taken and are not now, or that an answer never had before."""
    before, now = allowed(old), allowed(new)
    if side.is_sent and now is not None:
        if before is None:
            yield f"{at}: takes only {now} now"
        else:
            yield from (f"{at}: the value {value!r} is gone" for value in before if value not in now)
    if side is Side.BOTH and before is not None:
        yield from (
            f"{at}: the value {value!r} is new, and unknown to the older release"
            for value in now or ()
            if value not in before
        )
    if side is Side.GIVEN and before is not None and now is None:
        yield f"{at}: was one of {before}, is anything now"


def bounds(old: Json, new: Json, side: Side, at: str) -> Iterator[str]:
    """Limits that became narrower for who writes."""
    if not side.is_sent:
        return
    for name in LOWER_BOUNDS:
        if name in new and new[name] > old.get(name, float("-inf")):
            yield f"{at}: {name} was {old.get(name, 'open')}, is {new[name]}"
    for name in UPPER_BOUNDS:
        if name in new and new[name] < old.get(name, float("inf")):
            yield f"{at}: {name} was {old.get(name, 'open')}, is {new[name]}"
    if "pattern" in new and new["pattern"] != old.get("pattern"):
        yield f"{at}: pattern was {old.get('pattern', 'open')}, is {new['pattern']}"


def named(schema: Json) -> str:
    """A form in a few words."""
    return schema.get("title") or types(schema) or "anything"


def openapi_breaks(old: Json, new: Json) -> list[str]:
    """What a client of the released HTTP interface would trip over."""
    return [
        line for at, before, now in operations(old, new) for line in operation_breaks(Pair(old, new), before, now, at)
    ]


def operations(old: Json, new: Json) -> Iterator[tuple[str, Json, Json]]:
    """(method and path, released, today's or None) of every released operation."""
    for path, item in old["paths"].items():
        for method in METHODS:
            if method in item:
                yield f"{method.upper()} {path}", item[method], new["paths"].get(path, {}).get(method)


def operation_breaks(pair: Pair, old: Json, new: Json | None, at: str) -> Iterator[str]:
    """The same for one operation."""
    if new is None:
        yield f"{at}: is gone"
        return
    yield from parameter_breaks(pair, old.get("parameters", []), new.get("parameters", []), at)
    body, body_now = old.get("requestBody", {}), new.get("requestBody", {})
    if body_now.get("required") and not body.get("required"):
        yield f"{at}: a body is required now"
    yield from media_breaks(pair, body, body_now, Side.SENT, f"{at} body")
    if new.get("security") and not old.get("security"):
        yield f"{at}: needs a key now"
    for status, response in old["responses"].items():
        if status not in new["responses"]:
            yield f"{at}: the status {status} is gone"
        else:
            yield from media_breaks(pair, response, new["responses"][status], Side.GIVEN, f"{at} {status}")


def parameter_breaks(pair: Pair, old: Json, new: Json, at: str) -> Iterator[str]:
    """The same for the parameters of an operation."""
    before, now = by_place(pair.old, old), by_place(pair.new, new)
    for place, parameter in now.items():
        if parameter.get("required") and not before.get(place, {}).get("required"):
            yield f"{at}: the parameter {place} is required now"
    for place, parameter in before.items():
        if place not in now:
            yield f"{at}: the parameter {place} is gone"
        else:
            yield from pair.schemas(
                parameter.get("schema", {}), now[place].get("schema", {}), Side.SENT, f"{at} {place}"
            )


def by_place(document: Json, parameters: Json) -> Mapping[str, Json]:
    """Parameters by where they stand and what they are called."""
    listed = [resolved(document, parameter) for parameter in parameters]
    return {f"{parameter['in']} {parameter['name']}": parameter for parameter in listed}


def media_breaks(pair: Pair, old: Json, new: Json, side: Side, at: str) -> Iterator[str]:
    """The same for a body in each of its media types."""
    old, new = resolved(pair.old, old), resolved(pair.new, new)
    for kind, content in old.get("content", {}).items():
        if kind not in new.get("content", {}):
            yield f"{at}: {kind} is gone"
        else:
            now = new["content"][kind]
            yield from pair.schemas(content.get("schema", {}), now.get("schema", {}), side, f"{at} {kind}")


def asyncapi_breaks(old: Json, new: Json) -> list[str]:
    """What a process of the released platform would trip over on today's bus."""
    pair = Pair(old, new)
    return [line for name, channel in old["channels"].items() for line in channel_breaks(pair, name, channel)]


def channel_breaks(pair: Pair, name: str, old: Json) -> Iterator[str]:
    """The same for one topic."""
    new = pair.new["channels"].get(name)
    if new is None:
        yield f"{name}: is gone"
        return
    for fact in ("address", "x-penstock-kind", "x-penstock-stream"):
        if old.get(fact) != new.get(fact):
            yield f"{name}: {fact} was {old.get(fact)}, is {new.get(fact)}"
    for message, reference in old["messages"].items():
        if message not in new["messages"]:
            yield f"{name}: the message {message} is gone"
            continue
        before, now = resolved(pair.old, reference), resolved(pair.new, new["messages"][message])
        if before.get("contentType") != now.get("contentType"):
            yield f"{name}: {message} was {before.get('contentType')}, is {now.get('contentType')}"
        yield from pair.schemas(before["payload"], now["payload"], Side.BOTH, f"{name} {message}")
