"""Ends of requests that are posted to URLs: real receivers, several processes, one of them killed."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest
from standardwebhooks import Webhook

from penstock_api.domain.callbacks import CallbackState
from tests.support.api import ADMIN, bearer
from tests.support.callbacks import LOCAL, SECRET, callbacks_of, ended_request, known, post, telling
from tests.support.databases import Databases
from tests.support.forks import begun, ended
from tests.support.queueing import Platform, platform_on, stranger
from tests.support.submitting import PATH, a_request, rows, submitted
from tests.support.tools import Tool, http_tool

pytestmark = pytest.mark.integration

OTHER = UUID(int=9)
SETTLED = (CallbackState.DELIVERED, CallbackState.GONE, CallbackState.GIVEN_UP)


@pytest.fixture
def tool() -> Iterator[Tool]:
    """A receiver."""
    with http_tool() as running:
        yield running


async def test_an_end_is_posted_once(platform_databases: Databases, bus_url: str, tmp_path: Path, tool: Tool) -> None:
    """Signed, with ids and counts; neither its URL nor its secret lies open, and nobody else's key sees it."""
    async with platform_on(platform_databases, bus_url, tmp_path, allow=LOCAL) as platform:
        webhook = {"url": f"{tool.url}/echo?token=reservoir", "secret": SECRET}
        body = a_request("told", webhook=webhook)
        named = {"idempotency-key": "river-1", "penstock-run-depth": "2"}
        id_ = await submitted(platform.client, body, **named)
        (kept,) = await rows(platform_databases, "select sealed from api.callbacks")
        assert b"reservoir" not in kept
        assert SECRET.encode() not in kept
        await until_posted(platform, id_)
        assert (await platform.client.post(PATH, json=body, headers=named)).json()["id"] == id_
        await stranger(platform)
        other = await platform.client.get(f"{PATH}/{id_}/webhook", headers=bearer(ADMIN))
        assert (other.status_code, other.json()["code"]) == (404, "api.callback_not_found")
    (asked,) = tool.asked
    event = Webhook(SECRET).verify(asked.body, asked.headers)
    assert (asked.headers["webhook-id"], asked.headers["penstock-run-depth"]) == (id_, "2")
    assert (event["type"], event["data"]["id"], event["data"]["state"]) == ("inference.completed", id_, "succeeded")
    assert b"told" not in asked.body
    assert await rows(platform_databases, "select sealed from api.callbacks") == [None]


async def until_posted(platform: Platform, id_: str) -> None:
    """Its route says how it went."""
    async with asyncio.timeout(60):
        while (told := (await platform.client.get(f"{PATH}/{id_}/webhook")).json())["state"] != "delivered":
            await asyncio.sleep(0.1)
    assert (told["attempts"], told["problem"], told["next_at"]) == (1, "", None)


@pytest.mark.parametrize(
    ("statuses", "pauses", "state", "problem"),
    [
        ([500, 204], [0.0], CallbackState.DELIVERED, ""),
        ([429, 302, 404, 200], [0.0, 0.0, 0.0], CallbackState.DELIVERED, ""),
        ([503, 410, 200], [0.0, 0.0], CallbackState.GONE, "status 410"),
        ([500, 500, 500, 200], [0.0, 0.0], CallbackState.GIVEN_UP, "status 500"),
    ],
)
async def test_what_is_not_taken_is_posted_again(
    platform_databases: Databases,
    tmp_path: Path,
    tool: Tool,
    statuses: list[int],
    pauses: list[float],
    state: CallbackState,
    problem: str,
) -> None:
    """Under the same id and with the same body, until it is taken, unwanted or given up; its secret goes then."""
    tool.statuses, most = list(statuses), len(pauses) + 1
    id_ = await ended_request(platform_databases, tmp_path, f"{tool.url}/script")
    async with telling(callbacks_of(platform_databases.services["api"], tmp_path, pauses=pauses)) as callbacks:
        told = await known(callbacks, id_, *SETTLED)
    posts = min(most, statuses.index(410) + 1 if 410 in statuses else most)
    assert (told.state, told.problem, told.attempts, told.next_at) == (state, problem, posts, None)
    assert tool.keys("/script", "webhook-id") == [str(id_)] * posts
    assert len({asked.body for asked in tool.asked}) == 1
    assert await rows(platform_databases, "select sealed from api.callbacks") == [None]


async def test_pauses_are_kept(platform_databases: Databases, tmp_path: Path, tool: Tool) -> None:
    """What was not taken is not posted again before its pause is over."""
    tool.statuses = [500]
    id_ = await ended_request(platform_databases, tmp_path, f"{tool.url}/script")
    async with telling(callbacks_of(platform_databases.services["api"], tmp_path, pauses=[60.0])) as callbacks:
        told = await known(callbacks, id_, CallbackState.DUE)
        await asyncio.sleep(2.5)
        left = "select extract(epoch from next_at - now())::float8 from api.callbacks"
        assert 40 < (await rows(platform_databases, left))[0] <= 60
    assert (told.attempts, told.problem, len(tool.asked)) == (1, "status 500", 1)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0x7f.1"])
async def test_nothing_inside_is_told(platform_databases: Databases, tmp_path: Path, tool: Tool, host: str) -> None:
    """Where the operator has not allowed it, whatever a name resolves to then."""
    id_ = await ended_request(platform_databases, tmp_path, tool.url.replace("127.0.0.1", host))
    async with telling(callbacks_of(platform_databases.services["api"], tmp_path, allow=())) as callbacks:
        told = await known(callbacks, id_, *SETTLED)
    assert (told.state, tool.asked) == (CallbackState.GIVEN_UP, [])
    assert told.problem in ("common.address_refused", "common.tool_call_invalid")


async def test_a_redirect_leads_nowhere(platform_databases: Databases, tmp_path: Path, tool: Tool) -> None:
    """It is not followed, and what is behind it hears nothing."""
    id_ = await ended_request(platform_databases, tmp_path, f"{tool.url}/redirect?to=/echo")
    async with telling(callbacks_of(platform_databases.services["api"], tmp_path)) as callbacks:
        told = await known(callbacks, id_, *SETTLED)
    assert (told.state, told.problem, tool.at("/echo")) == (CallbackState.GIVEN_UP, "status 302", [])


async def test_an_answer_may_be_of_any_size(platform_databases: Databases, tmp_path: Path, tool: Tool) -> None:
    """Its status says enough."""
    id_ = await ended_request(platform_databases, tmp_path, f"{tool.url}/bytes?n=9000000")
    async with telling(callbacks_of(platform_databases.services["api"], tmp_path)) as callbacks:
        assert (await known(callbacks, id_, *SETTLED)).state == CallbackState.DELIVERED


async def test_a_killed_process_is_followed_by_another(
    platform_databases: Databases, tmp_path: Path, tool: Tool
) -> None:
    """Not before its lease is over; then under the same id."""
    url = platform_databases.services["api"]
    id_ = await ended_request(platform_databases, tmp_path, f"{tool.url}/slow?s=2")
    process = await begun(post, url, tmp_path)
    async with asyncio.timeout(60):
        while not tool.asked:
            await asyncio.sleep(0.02)
    process.kill()
    await ended(process)
    async with telling(callbacks_of(url, tmp_path, pauses=[60.0])) as callbacks:
        await asyncio.sleep(2.5)
        assert len(tool.asked) == 1
        over = "update api.callbacks set next_at = next_at - interval '30 s' where attempts = 1 returning 1"
        assert await rows(platform_databases, over) == [1]
        told = await known(callbacks, id_, *SETTLED)
    assert (told.state, told.attempts) == (CallbackState.DELIVERED, 2)
    assert tool.keys("/slow", "webhook-id") == [str(id_)] * 2


async def test_processes_share_the_posts(platform_databases: Databases, tmp_path: Path, tool: Tool) -> None:
    """Each end is posted by one of them."""
    url = platform_databases.services["api"]
    ids = [await ended_request(platform_databases, tmp_path, f"{tool.url}/echo") for _ in range(20)]
    async with telling(callbacks_of(url, tmp_path)) as callbacks, telling(callbacks_of(url, tmp_path)):
        for id_ in ids:
            assert (await known(callbacks, id_, *SETTLED)).attempts == 1
    assert sorted(tool.keys("/echo", "webhook-id")) == sorted(map(str, ids))


async def test_slow_receivers_hold_up_their_own_project_alone(
    platform_databases: Databases, tmp_path: Path, tool: Tool
) -> None:
    """A project has four posts under way at once, and another's comes between."""
    for _ in range(20):
        await ended_request(platform_databases, tmp_path, f"{tool.url}/slow?s=8", OTHER)
    id_ = await ended_request(platform_databases, tmp_path, f"{tool.url}/echo")
    async with telling(callbacks_of(platform_databases.services["api"], tmp_path)) as callbacks:
        await known(callbacks, id_, *SETTLED)
        assert len(tool.at("/slow")) <= 4
