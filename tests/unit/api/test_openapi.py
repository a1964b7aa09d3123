"""The OpenAPI document: valid, complete, and with examples that are true."""

from collections.abc import Iterator
from typing import Any

import pytest
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import validate
from starlette.testclient import TestClient

from penstock_api.app import build
from penstock_api.routes.authentication import SCHEME
from tests.support.api import settings

DATABASE, BUS = "postgresql://nobody@127.0.0.1:1/none", "nats://127.0.0.1:1"
OPEN = {"/healthz", "/readyz", "/metrics"}
SIGNED = {"post /hooks/{id}"}
"""Routes whose key is a signature."""
METHODS = {"get", "post", "put", "patch", "delete"}


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """As a process serves it before it could reach anything."""
    app = build(settings(DATABASE, BUS, tmp_path_factory.mktemp("keyring")))
    response = TestClient(app.asgi).get("/openapi.json")
    assert response.status_code == 200
    served: dict[str, Any] = response.json()
    return served


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """(method and path, operation) of everything that needs a key."""
    for path, item in document["paths"].items():
        if path not in OPEN:
            yield from ((f"{method} {path}", item[method]) for method in item if method in METHODS)


def media(operation: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """(place, media type object) of an operation's bodies."""
    bodies = {"request": operation.get("requestBody", {}), **operation["responses"]}
    for place, body in bodies.items():
        for name, content in body.get("content", {}).items():
            yield f"{place} {name}", content


def examples(node: Any) -> Iterator[tuple[dict[str, Any], Any]]:
    """(schema, example) of every schema that has one."""
    if isinstance(node, dict):
        if "example" in node:
            yield node, node["example"]
        yield from ((node, example) for example in node.get("examples", ()) if isinstance(node["examples"], list))
        for inner in node.values():
            yield from examples(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from examples(inner)


def test_the_document_is_valid(document: dict[str, Any]) -> None:
    """By OpenAPI's own schema, references included."""
    validate(document)


def test_every_route_is_described(document: dict[str, Any]) -> None:
    """The routes that clients may rely on are there, each with a tag, a sentence, its key and its errors."""
    found = dict(operations(document))
    assert set(found) == {
        "post /v1/chat/completions",
        "post /v1/embeddings",
        "post /api/v1/inference",
        "get /api/v1/inference/{id}",
        "get /api/v1/inference/{id}/result",
        "get /api/v1/inference/{id}/stream",
        "get /api/v1/inference/{id}/webhook",
        "delete /api/v1/inference/{id}",
        "post /api/v1/schedules",
        "get /api/v1/schedules",
        "post /api/v1/schedules/preview",
        "get /api/v1/schedules/{id}",
        "put /api/v1/schedules/{id}",
        "delete /api/v1/schedules/{id}",
        "get /api/v1/schedules/{id}/preview",
        "post /api/v1/schedules/{id}/pause",
        "post /api/v1/schedules/{id}/resume",
        "post /api/v1/hooks",
        "get /api/v1/hooks",
        "post /api/v1/hooks/{id}/rotate",
        "delete /api/v1/hooks/{id}",
        "post /hooks/{id}",
        "get /api/v1/tasks",
        "get /api/v1/tasks/{name}",
        "put /api/v1/tasks/{name}",
        "delete /api/v1/tasks/{name}",
        "post /api/v1/runs",
        "get /api/v1/runs",
        "get /api/v1/runs/{id}",
        "get /api/v1/runs/{id}/events",
        "post /api/v1/runs/{id}/cancel",
        "get /v1/models",
        "get /v1/models/{model}",
        "get /api/v1/usage",
        "post /api/v1/keys",
        "get /api/v1/keys",
        "delete /api/v1/keys/{id}",
        "get /api/v1/admin/discovery",
        "get /api/v1/admin/models",
        "post /api/v1/admin/models",
        "delete /api/v1/admin/models/{name}",
        "get /api/v1/admin/audit",
        "get /api/v1/admin/dead-letters",
        "get /api/v1/admin/dead-letters/summary",
        "get /api/v1/admin/dead-letters/export",
        "get /api/v1/admin/dead-letters/{id}",
        "put /api/v1/admin/dead-letters/{id}/payload",
        *(
            f"post /api/v1/admin/dead-letters/{place}{act}"
            for place in ("", "{id}/")
            for act in ("retry", "drop", "acknowledge")
        ),
        "post /api/v1/knowledge-bases",
        "get /api/v1/knowledge-bases",
        "get /api/v1/knowledge-bases/{id}",
        "delete /api/v1/knowledge-bases/{id}",
        "post /api/v1/knowledge-bases/{id}/search",
        "post /api/v1/knowledge-bases/{id}/documents",
        "get /api/v1/knowledge-bases/{id}/documents",
        "get /api/v1/knowledge-bases/{id}/documents/{document}",
        "delete /api/v1/knowledge-bases/{id}/documents/{document}",
        "post /api/v1/knowledge-bases/{id}/documents/{document}/retry",
    }
    for name, operation in found.items():
        assert operation["tags"], name
        assert operation.get("summary") or operation.get("description"), name
        assert operation.get("security", []) == ([] if name in SIGNED else [{SCHEME: []}]), name
        assert "401" in operation["responses"], name


def test_errors_have_the_form_of_their_routes(document: dict[str, Any]) -> None:
    """Problem details on native routes, OpenAI's error object on theirs; nothing of the framework's own."""
    for name, operation in operations(document):
        form = "application/json" if " /v1/" in name else "application/problem+json"
        for status, response in operation["responses"].items():
            if status == "default" or int(status) >= 400:
                assert set(response["content"]) == {form}, (name, status)
    assert "HTTPValidationError" not in document["components"]["schemas"]


def test_every_body_is_described(document: dict[str, Any]) -> None:
    """Each body has a schema."""
    for name, operation in operations(document):
        for place, content in media(operation):
            assert content.get("schema"), (name, place)


def test_examples_are_true(document: dict[str, Any]) -> None:
    """Each example is what its schema asks for."""
    found = list(examples(document))
    assert len(found) > len(dict(operations(document)))
    for schema, example in found:
        OAS31Validator({**schema, "components": document["components"]}).validate(example)


def test_bodies_have_examples(document: dict[str, Any]) -> None:
    """Whoever reads how to send something sees it sent."""
    for name, operation in operations(document):
        if body := operation.get("requestBody"):
            for content in body["content"].values():
                assert "example" in content or list(examples(content["schema"])), name
