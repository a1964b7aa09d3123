"""Nothing that was released is taken away, and whatever would take it away is noticed by its name."""

import json
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from tests.contract import make_asyncapi, make_openapi
from tests.contract.breaking import asyncapi_breaks, openapi_breaks

RELEASED = sorted(path for path in (make_openapi.PATH.parent / "released").iterdir() if path.is_dir())

OPENAPI: dict[str, Any] = {
    "paths": {
        "/things": {
            "post": {
                "parameters": [
                    {"in": "query", "name": "limit", "schema": {"type": "integer", "maximum": 100}},
                    {"in": "query", "name": "sort", "required": False, "schema": {"enum": ["up", "down"]}},
                ],
                "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Wanted"}}}},
                "responses": {
                    "200": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Thing"}}}},
                    "404": {"description": "none"},
                },
            }
        }
    },
    "components": {
        "schemas": {
            "Wanted": {
                "type": "object",
                "required": ["name"],
                "properties": {
                    "name": {"type": "string", "maxLength": 64, "minLength": 1},
                    "color": {"enum": ["red", "blue"]},
                    "weight": {"anyOf": [{"type": "integer"}, {"type": "string"}, {"type": "null"}]},
                    "size": {"type": "integer"},
                },
            },
            "Thing": {
                "type": "object",
                "required": ["id"],
                "properties": {
                    "id": {"type": "string"},
                    "price": {"type": "number"},
                    "owner": {"type": ["string", "null"]},
                    "parts": {"type": "array", "items": {"$ref": "#/components/schemas/Thing"}},
                },
            },
        }
    },
}
POST = ("paths", "/things", "post")
WANTED = ("components", "schemas", "Wanted")
THING = ("components", "schemas", "Thing")
ASYNCAPI: dict[str, Any] = {
    "channels": {
        "a.v1": {
            "address": "a.v1",
            "x-penstock-kind": "event",
            "x-penstock-stream": "A",
            "messages": {"Told": {"$ref": "#/components/messages/Told"}},
        }
    },
    "components": {
        "messages": {"Told": {"contentType": "application/json", "payload": {"$ref": "#/components/schemas/Told"}}},
        "schemas": {
            "Told": {
                "type": "object",
                "required": ["id"],
                "properties": {"id": {"type": "string"}, "n": {"type": "integer"}, "kind": {"enum": ["x"]}},
            }
        },
    },
}
TOLD = ("components", "schemas", "Told")

Change = Callable[[dict[str, Any]], object]


def at(document: dict[str, Any], *path: str | int) -> Any:
    """A part of a document."""
    part: Any = document
    for step in path:
        part = part[step]
    return part


def changed(document: dict[str, Any], change: Change) -> dict[str, Any]:
    """A copy with a change made."""
    copy = deepcopy(document)
    change(copy)
    return copy


@pytest.mark.parametrize("release", RELEASED, ids=lambda path: path.name)
def test_todays_routes_keep_what_was_released(release: Path) -> None:
    """Paths, methods, statuses, parameters, bodies and answers."""
    assert openapi_breaks(json.loads((release / "openapi.json").read_text()), make_openapi.document()) == []


@pytest.mark.parametrize("release", RELEASED, ids=lambda path: path.name)
def test_todays_topics_keep_what_was_released(release: Path) -> None:
    """Topics, messages and their fields: during an upgrade both releases speak on one bus."""
    today = json.loads(make_asyncapi.text())
    assert asyncapi_breaks(json.loads((release / "asyncapi.json").read_text()), today) == []


def test_something_was_released() -> None:
    """Without a released document the two tests above would say nothing."""
    assert RELEASED


@pytest.mark.parametrize(
    ("said", "change"),
    [
        ("POST /things: is gone", lambda d: at(d, "paths", "/things").pop("post")),
        ("POST /things: is gone", lambda d: d["paths"].pop("/things")),
        ("POST /things: the status 404 is gone", lambda d: at(d, *POST, "responses").pop("404")),
        ("200: application/json is gone", lambda d: at(d, *POST, "responses", "200", "content").clear()),
        ("POST /things: needs a key now", lambda d: at(d, *POST).update(security=[{"key": []}])),
        ("the parameter query limit is gone", lambda d: at(d, *POST, "parameters").pop(0)),
        ("the parameter query sort is required", lambda d: at(d, *POST, "parameters", 1).update(required=True)),
        ("query limit: maximum was 100, is 50", lambda d: at(d, *POST, "parameters", 0, "schema").update(maximum=50)),
        ("query sort: the value 'up' is gone", lambda d: at(d, *POST, "parameters", 1, "schema", "enum").remove("up")),
        (
            "the parameter header x is required",
            lambda d: at(d, *POST, "parameters").append({"in": "header", "name": "x", "required": True}),
        ),
        ("POST /things: a body is required", lambda d: at(d, *POST, "requestBody").update(required=True)),
        (".size: is required now", lambda d: at(d, *WANTED, "required").append("size")),
        (".new: is required now", lambda d: at(d, *WANTED, "required").append("new")),
        (".color: is gone", lambda d: at(d, *WANTED, "properties").pop("color")),
        (".color: the value 'red' is gone", lambda d: at(d, *WANTED, "properties", "color", "enum").remove("red")),
        (".name: takes only ['a'] now", lambda d: at(d, *WANTED, "properties", "name").update(enum=["a"])),
        (".name: maxLength was 64, is 32", lambda d: at(d, *WANTED, "properties", "name").update(maxLength=32)),
        (".name: minLength was 1, is 2", lambda d: at(d, *WANTED, "properties", "name").update(minLength=2)),
        (".name: pattern was open, is ^a", lambda d: at(d, *WANTED, "properties", "name").update(pattern="^a")),
        (
            ".size: its type was integer, is string",
            lambda d: at(d, *WANTED, "properties", "size").update(type="string"),
        ),
        (".weight: null is no longer taken", lambda d: at(d, *WANTED, "properties", "weight", "anyOf").pop()),
        (".id: is gone", lambda d: at(d, *THING, "properties").pop("id")),
        (".id: is not always there now", lambda d: at(d, *THING).update(required=[])),
        (".id: its type was string, is integer", lambda d: at(d, *THING, "properties", "id").update(type="integer")),
        (".id: may now be null", lambda d: at(d, *THING, "properties", "id").update(type=["string", "null"])),
    ],
)
def test_a_break_of_a_route_is_named(said: str, change: Change) -> None:
    """Each rule by itself, in a document that breaks nothing else."""
    found = openapi_breaks(OPENAPI, changed(OPENAPI, change))
    assert any(said in line for line in found), found


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d["paths"].update({"/more": {"get": {"responses": {}}}}),
        lambda d: at(d, *POST, "responses").update({"429": {"description": "later"}}),
        lambda d: at(d, *POST, "parameters").append({"in": "query", "name": "new", "schema": {"type": "string"}}),
        lambda d: at(d, *WANTED, "properties").update(new={"type": "string"}),
        lambda d: at(d, *WANTED).update(required=[]),
        lambda d: at(d, *WANTED, "properties", "color", "enum").append("green"),
        lambda d: at(d, *WANTED, "properties", "name").update(maxLength=128),
        lambda d: at(d, *WANTED, "properties", "size").update(type="number"),
        lambda d: at(d, *THING, "properties").update(new={"type": "string"}),
        lambda d: at(d, *THING, "required").append("price"),
        lambda d: at(d, *THING, "properties", "price").update(type="integer"),
        lambda d: at(d, *THING, "properties", "owner").update(type="string"),
    ],
)
def test_what_is_added_breaks_nothing(change: Change) -> None:
    """New routes, optional inputs, more that is taken, more that is told."""
    assert openapi_breaks(OPENAPI, changed(OPENAPI, change)) == []


@pytest.mark.parametrize(
    ("said", "change"),
    [
        ("a.v1: is gone", lambda d: d["channels"].pop("a.v1")),
        ("a.v1: address was a.v1, is b.v1", lambda d: at(d, "channels", "a.v1").update(address="b.v1")),
        (
            "a.v1: x-penstock-kind was event, is command",
            lambda d: at(d, "channels", "a.v1").update({"x-penstock-kind": "command"}),
        ),
        ("x-penstock-stream was A, is None", lambda d: at(d, "channels", "a.v1").pop("x-penstock-stream")),
        ("a.v1: the message Told is gone", lambda d: at(d, "channels", "a.v1", "messages").clear()),
        (
            "Told was application/json, is application/msgpack",
            lambda d: at(d, "components", "messages", "Told").update(contentType="application/msgpack"),
        ),
        (".n: is gone", lambda d: at(d, *TOLD, "properties").pop("n")),
        (".n: is required now", lambda d: at(d, *TOLD, "required").append("n")),
        (".id: is not always there now", lambda d: at(d, *TOLD).update(required=[])),
        (".n: its type was integer, is number", lambda d: at(d, *TOLD, "properties", "n").update(type="number")),
        (".kind: the value 'x' is gone", lambda d: at(d, *TOLD, "properties", "kind").update(enum=["z"])),
        (".kind: the value 'y' is new", lambda d: at(d, *TOLD, "properties", "kind", "enum").append("y")),
    ],
)
def test_a_break_of_a_topic_is_named(said: str, change: Change) -> None:
    """Each rule by itself. Both releases write and both read, so both directions count."""
    found = asyncapi_breaks(ASYNCAPI, changed(ASYNCAPI, change))
    assert any(said in line for line in found), found


def test_an_optional_field_breaks_no_topic() -> None:
    """It is how messages grow."""
    new = changed(ASYNCAPI, lambda d: at(d, *TOLD, "properties").update(more={"type": "string"}))
    assert asyncapi_breaks(ASYNCAPI, new) == []
