"""The command line waits for what it ordered."""

from collections.abc import Iterator
from typing import Any

import pytest

from penstock.client import ApiRefused, Client
from penstock.ordered import await_schedule
from penstock.platform.state import State
from tests.support.http import Answers, http_server


@pytest.fixture
def api() -> Iterator[Answers]:
    """What stands for the platform's API."""
    with http_server() as answers:
        yield answers


def client_of(api: Answers) -> Client:
    elsewhere: dict[str, Any] = dict.fromkeys(("api_key", "data", "bus", "database", "audit_database"), "")
    return Client(State(base_url=api.url, admin_key="psk-admin", **elsewhere))


def test_an_answer_that_holds_is_enough(api: Answers) -> None:
    """Nothing is asked again."""
    with client_of(api) as client:
        assert await_schedule(client, "/x", {"version": 1}, lambda shown: shown is not None) == {"version": 1}
    assert api.asked == []


def test_an_order_is_waited_for(api: Answers) -> None:
    """Until it is shown; or until it is shown no more."""
    api.json({"id": "1", "version": 2})
    with client_of(api) as client:
        assert await_schedule(client, "/x", {"id": "1"}, lambda shown: bool(shown and "version" in shown)) == {
            "id": "1",
            "version": 2,
        }
        api.json({"detail": "gone"}, 404)
        assert await_schedule(client, "/x", {"id": "1"}, lambda shown: shown is None) is None


def test_another_refusal_is_told(api: Answers) -> None:
    """It is not taken for a schedule that is missing."""
    api.json({"detail": "no"}, 403)
    with client_of(api) as client, pytest.raises(ApiRefused, match="no"):
        await_schedule(client, "/x", {"id": "1"}, lambda shown: shown is None)
