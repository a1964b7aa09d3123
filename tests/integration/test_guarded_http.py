"""Guarded calls over real sockets."""

from collections.abc import Iterator

import pytest

from penstock_common.guarded_http import GuardedHttp, Policy, ToolRequest
from penstock_common.guarded_http.errors import (
    AddressRefused,
    ToolAnswerRefused,
    ToolAnswerTooLarge,
    ToolCallInvalid,
    ToolTooSlow,
    ToolUnreachable,
)
from penstock_common.messaging.envelope import CONTEXT, Context
from tests.support.tools import Tool, http_tool

pytestmark = pytest.mark.integration

LOCAL = Policy.of(["127.0.0.0/8", "localhost"])


@pytest.fixture
def tool() -> Iterator[Tool]:
    """An HTTP tool."""
    with http_tool() as running:
        yield running


async def test_an_answer_comes_back(tool: Tool) -> None:
    """With its status, whatever that is."""
    reply = await GuardedHttp(LOCAL).call(ToolRequest("PUT", f"{tool.url}/x", {"a": "b"}, b"{}"), 5)
    assert (reply.status, reply.body) == (200, b'{"method": "PUT", "path": "/x"}')
    assert tool.asked[0].headers["a"] == "b"
    assert (await GuardedHttp(LOCAL).call(ToolRequest("GET", f"{tool.url}/status/418"), 5)).status == 418


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0x7f.1", "127.1", "[::ffff:127.0.0.1]"])
async def test_nothing_inside_is_reached(tool: Tool, host: str) -> None:
    """However the address is written, and whatever resolves to it."""
    url = tool.url.replace("127.0.0.1", host)
    with pytest.raises((AddressRefused, ToolCallInvalid)):
        await GuardedHttp(Policy()).call(ToolRequest("GET", url), 5)
    assert not tool.asked


async def test_a_redirect_is_checked_anew(tool: Tool) -> None:
    """A tool that is allowed can't lend its permission to another address."""
    only = Policy.of(["127.0.0.1/32"])
    url = f"{tool.url}/redirect?to={tool.url.replace('127.0.0.1', '127.0.0.2')}/inner"
    with pytest.raises(AddressRefused):
        await GuardedHttp(only).call(ToolRequest("GET", url), 5)
    assert not tool.at("/inner")


async def test_credentials_stay_with_their_origin(tool: Tool) -> None:
    """A redirect within it carries them along, one that leaves it does not; a POST becomes a GET."""
    secret = {"Authorization": "Bearer x", "Cookie": "a=b", "x-plain": "y"}
    elsewhere = tool.url.replace("127.0.0.1", "localhost")
    for target in (tool.url, elsewhere):
        await GuardedHttp(LOCAL).call(ToolRequest("POST", f"{tool.url}/redirect?to={target}/end", secret, b"{}"), 5)
    inside, outside = tool.at("/end")
    assert (inside.method, inside.headers["authorization"], inside.headers["cookie"]) == ("GET", "Bearer x", "a=b")
    assert "authorization" not in outside.headers
    assert "cookie" not in outside.headers
    assert outside.headers["x-plain"] == "y"


async def test_only_hosts_that_the_operator_named_hear_of_the_trace(tool: Tool) -> None:
    """By name, or by address; nobody else hears of it, be it after a redirect; what the caller says of it stands."""
    by_name, parent = tool.url.replace("127.0.0.1", "localhost"), f"00-{'a' * 32}-{'b' * 16}-01"
    http = GuardedHttp(Policy.of(["127.0.0.0/8"]))
    token = CONTEXT.set(Context(traceparent=parent))
    try:
        await http.call(ToolRequest("GET", f"{tool.url}/redirect?to={by_name}/stranger"), 5)
        await http.call(ToolRequest("GET", f"{tool.url}/own", {"Traceparent": "theirs"}), 5)
        await GuardedHttp(LOCAL).call(ToolRequest("GET", f"{by_name}/named"), 5)
    finally:
        CONTEXT.reset(token)
    await http.call(ToolRequest("GET", f"{tool.url}/no-trace"), 5)
    told = {path: tool.keys(path, "traceparent") for path in ("/redirect", "/stranger", "/own", "/named", "/no-trace")}
    assert told == {"/redirect": [parent], "/stranger": [""], "/own": ["theirs"], "/named": [parent], "/no-trace": [""]}


async def test_a_redirect_may_be_the_answer(tool: Tool) -> None:
    """Where it is not to be followed, as for webhooks."""
    reply = await GuardedHttp(LOCAL).call(ToolRequest("GET", f"{tool.url}/redirect?to=/end", follow=False), 5)
    assert reply.status == 302
    assert not tool.at("/end")


async def test_bad_answers_end_soon(tool: Tool) -> None:
    """Endless, slow, compressed, circular, or none."""
    http = GuardedHttp(LOCAL, max_answer=100_000)
    assert len((await http.call(ToolRequest("GET", f"{tool.url}/bytes?n=100000"), 5)).body) == 100_000
    for path, seconds, error in (
        ("/bytes?n=100001", 10, ToolAnswerTooLarge),
        ("/slow?s=3", 0.3, ToolTooSlow),
        ("/gzip", 10, ToolAnswerRefused),
        ("/loop", 10, ToolAnswerRefused),
    ):
        with pytest.raises(error):
            await http.call(ToolRequest("GET", tool.url + path), seconds)
    with pytest.raises(ToolUnreachable):
        await http.call(ToolRequest("GET", "http://127.0.0.1:1/"), 5)


async def test_proxies_of_the_environment_are_not_used(tool: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    """They would resolve the name themselves, and reach whatever they like."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert (await GuardedHttp(LOCAL).call(ToolRequest("GET", tool.url), 5)).status == 200
