"""The command line's HTTP client: calls with the operator's key, failures as sentences."""

from collections.abc import Iterator
from typing import Any

import pytest

from penstock.client import ApiRefused, ApiUnreachable, Client
from penstock.commands.usage import complete
from penstock.migrating import as_role
from penstock.money import readable
from penstock.platform.state import State
from tests.support.http import Answers, http_server

USAGE = {
    "requests": 3,
    "prompt_tokens": 40,
    "completion_tokens": 2,
    "cost_nano": 4_400_000,
    "currency": "USD",
    "by_model": {"sim/fast": {"requests": 3, "prompt_tokens": 40, "completion_tokens": 2, "cost_nano": 4_400_000}},
}


@pytest.fixture
def api() -> Iterator[Answers]:
    """What stands for the platform's API."""
    with http_server() as answers:
        yield answers


def client_of(url: str) -> Client:
    """A client with a known key."""
    elsewhere: dict[str, Any] = dict.fromkeys(("api_key", "data", "bus", "database", "audit_database"), "")
    return Client(State(base_url=url, admin_key="psk-admin", **elsewhere))


def test_calls_carry_the_operators_key(api: Answers) -> None:
    """Options that were not given are left out of the query."""
    api.json({"fine": True})
    with client_of(api.url) as client:
        assert client.get("/api/v1/usage", request_id="r", tenant=None) == {"fine": True}
        client.post("/api/v1/keys", {"name": "n"})
        client.delete("/api/v1/keys/1")
    key = "Bearer psk-admin"
    assert api.asked == [
        ("GET", "/api/v1/usage?request_id=r", key),
        ("POST", "/api/v1/keys", key),
        ("DELETE", "/api/v1/keys/1", key),
    ]


def test_an_empty_answer_is_none(api: Answers) -> None:
    """As 204 gives it."""
    api.body = b""
    with client_of(api.url) as client:
        assert client.delete("/api/v1/keys/1") is None


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"title": "Forbidden", "detail": "The key lacks the scope."}, "The key lacks the scope."),
        ({"title": "Forbidden"}, "Forbidden"),
        ({"error": {"message": "No such model."}}, "No such model."),
        ({}, "The platform answered with status 403."),
        (["unexpected"], "The platform answered with status 403."),
    ],
)
def test_a_refusal_says_what_the_platform_said(api: Answers, body: object, said: str) -> None:
    """From a problem document or an OpenAI error object."""
    api.json(body, 403)
    with client_of(api.url) as client, pytest.raises(ApiRefused) as caught:
        client.get("/x")
    assert (caught.value.message, caught.value.status) == (said, 403)


def test_what_does_not_answer_is_named(api: Answers) -> None:
    """Neither a closed port nor a page that is no JSON is a traceback."""
    api.body = b"<html>"
    with client_of(api.url) as client, pytest.raises(ApiUnreachable, match="penstock status"):
        client.get("/x")
    with client_of("http://127.0.0.1:1") as client, pytest.raises(ApiUnreachable, match="does not answer"):
        client.get("/x")


def test_usage_has_the_sums_that_scripts_rely_on() -> None:
    """In all and by model."""
    facts = complete(USAGE)
    keys = ["requests", "prompt_tokens", "completion_tokens", "total_tokens", "cost_nano"]
    assert list(facts) == [*keys, "currency", "by_model"]
    assert list(facts["by_model"]["sim/fast"]) == keys
    assert facts["total_tokens"] == facts["by_model"]["sim/fast"]["total_tokens"] == 42


@pytest.mark.parametrize(
    ("nano", "shown"),
    [
        (0, "0 USD"),
        (1, "0.000000001 USD"),
        (4_400_000, "0.0044 USD"),
        (19_500_000_000, "19.5 USD"),
        (10**13, "10000 USD"),
        (123_456_789_012_345_678_901_234_567_890, "123456789012345678901.23456789 USD"),
        (-100_000_000, "-0.1 USD"),
    ],
)
def test_amounts_are_exact(nano: int, shown: str) -> None:
    """No rounding, no exponent, no trailing zeros."""
    assert readable(nano, "USD") == shown


def test_another_role_enters_the_same_database() -> None:
    """With whatever the address says besides."""
    url = "postgresql://admin:p%40ss@127.0.0.1:5432/penstock?sslmode=disable"
    assert as_role(url, "penstock_api", "secret") == (
        "postgresql://penstock_api:secret@127.0.0.1:5432/penstock?sslmode=disable"
    )
