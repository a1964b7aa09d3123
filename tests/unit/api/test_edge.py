"""What every request passes before its route, and which route takes it."""

import asyncio
from typing import Any

import pytest
from prometheus_client import REGISTRY
from starlette.types import Message, Receive, Scope, Send

from penstock_api.domain.errors import BodyTooLarge
from penstock_api.routes.body import read_body
from penstock_api.routes.edge import Edge
from penstock_common.http_exchange import EXCHANGE

HOT = "/v1/hot"
ID = "01936f3e-8f2a-7c31-9d2e-5b8f6a1c0d4e"


async def hot(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers on the connection itself, and notes that it did."""
    scope["state"]["status"] = 204
    scope["state"]["taken"] = "hot"


async def cold(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers by ASGI."""
    scope["state"]["taken"] = "cold"
    await send({"type": "http.response.start", "status": 200, "headers": []})


async def nothing() -> Message:
    """No body."""
    raise AssertionError("nobody reads the body here")


async def asked(method: str, path: str, *, headers: int = 1, ready: bool = True) -> tuple[Scope, list[Any]]:
    """The scope of a request afterwards, and what was sent by ASGI."""
    sent: list[Any] = []

    async def send(message: Message) -> None:
        sent.append(message)

    scope: Scope = {"type": "http", "method": method, "path": path, "headers": [(b"x", b"y")] * headers}
    await Edge(cold, {("POST", HOT): hot, ("GET", f"{HOT}/{{id}}"): hot}, lambda: ready)(scope, nothing, send)
    return scope, sent


def counted(method: str, status: str) -> float:
    """Requests to the hot path that were counted so far."""
    labels = {"method": method, "route": HOT, "status": status}
    return REGISTRY.get_sample_value("penstock_http_requests_total", labels) or 0.0


async def test_what_is_posted_to_a_hot_path_goes_to_its_route() -> None:
    """It is counted there with the status that it notes; ASGI's sending is left alone."""
    before = counted("POST", "204")
    scope, sent = await asked("POST", HOT)
    assert scope["state"]["taken"] == "hot"
    assert sent == []
    assert counted("POST", "204") == before + 1


async def test_an_id_is_not_part_of_a_routes_name() -> None:
    """Else each request would have a counter of its own."""
    labels = {"method": "GET", "route": f"{HOT}/{{id}}", "status": "204"}
    before = REGISTRY.get_sample_value("penstock_http_requests_total", labels) or 0.0
    scope, _ = await asked("GET", f"{HOT}/{ID}")
    assert scope["state"]["taken"] == "hot"
    assert REGISTRY.get_sample_value("penstock_http_requests_total", labels) == before + 1


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", HOT),
        ("POST", "/v1/other"),
        ("POST", f"{HOT}/"),
        ("DELETE", f"{HOT}/{ID}"),
        ("GET", f"{HOT}/{ID.upper()}"),
        ("GET", f"{HOT}/{ID}/result"),
        ("GET", f"/v1/other/{ID}"),
    ],
)
async def test_everything_else_goes_to_the_application(method: str, path: str) -> None:
    """Its response says the request's id."""
    scope, sent = await asked(method, path)
    assert scope["state"]["taken"] == "cold"
    assert sent[0]["headers"] == [(b"x-request-id", str(scope["state"]["request_id"]).encode())]
    assert scope["state"]["status"] == 200


@pytest.mark.parametrize(("given", "status"), [({"headers": 101}, 431), ({"ready": False}, 503)])
async def test_a_hot_path_is_refused_as_any_other(given: dict[str, Any], status: int) -> None:
    """Absurd headers, and requests before the service has started, with the request's id."""
    scope, sent = await asked("POST", HOT, **given)
    assert "taken" not in scope["state"]
    assert sent[0]["status"] == status
    assert (b"x-request-id", scope["state"]["name"].encode()) in sent[0]["headers"]


async def given_up(scope: Scope, receive: Receive, send: Send) -> None:
    """Has not answered when the server's grace is over."""
    raise asyncio.CancelledError


@pytest.mark.parametrize(("method", "path"), [("GET", "/api/v1/inference/x/stream"), ("POST", HOT)])
async def test_who_waits_longer_than_a_stop_is_sent_to_another_process(method: str, path: str) -> None:
    """With 503 and the request's id, not with the server's 500."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    scope: Scope = {"type": "http", "method": method, "path": path, "headers": []}
    await Edge(given_up, {("POST", HOT): given_up}, lambda: True)(scope, nothing, send)
    assert (sent[0]["status"], b"api.stopping" in sent[1]["body"]) == (503, True)
    assert [name for name, _ in sent[0]["headers"]].count(b"x-request-id") == 1


class Arrived:
    """As much of an exchange as is asked for its body."""

    def body(self) -> bytes:
        """Eleven bytes."""
        return b"hello world"


async def test_body_that_arrived_is_bounded_too() -> None:
    """It is not waited for, and no larger than one that is."""
    scope: Scope = {"type": "http", "headers": [], "extensions": {EXCHANGE: Arrived()}}
    assert await read_body(scope, nothing, 11) == b"hello world"
    with pytest.raises(BodyTooLarge):
        await read_body(scope, nothing, 10)
