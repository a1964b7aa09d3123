"""Connections to engines: kept, bounded, encrypted, and never faster than whoever reads."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from penstock_inference.adapters.engines.http import client
from penstock_inference.adapters.engines.http.client import EngineHttp, lines_of, target_of, trusted
from penstock_inference.adapters.engines.http.exchange import MOST_UNREAD, Exchange
from penstock_inference.adapters.engines.times import EngineTimes
from penstock_inference.adapters.engines.watch import Watch, read_all
from penstock_inference.domain.errors import EngineCut, EngineGarbled, EngineTimedOut, EngineUnreachable
from penstock_inference.generating.pulse import Pulse
from penstock_inference.generating.timers import Timers
from tests.support.certificates import authority, server_context
from tests.support.engine_wire import LAST, After, Wire, WireEngine, framed, head, stream_head, whole

TIMES = EngineTimes(connect=20.0, first_token=20.0, between_tokens=20.0)
PIECE = b"x" * 65536
PIECES = 400
TICK = 0.5  # seconds: longer than a busy machine takes for three pieces


@pytest.fixture
async def http() -> AsyncIterator[EngineHttp]:
    """The connections of a process."""
    made = EngineHttp(TIMES)
    yield made
    await made.close()


@pytest.fixture
async def upstream() -> AsyncIterator[WireEngine]:
    """An engine that sends what it is told."""
    async with WireEngine().serving() as engine:
        yield engine


@asynccontextmanager
async def asked(http: EngineHttp, url: str, patience: float = 20.0) -> AsyncIterator[Exchange]:
    """An exchange whose head is there."""
    with Watch(http.timers.alarms, TIMES, 60.0) as watch:
        watch.allow(patience, "was silent for {:g} s")
        exchange = await http.post(f"{url}/chat/completions", b"{}", {}, watch)
        try:
            yield exchange
        finally:
            exchange.close()


async def body(http: EngineHttp, url: str) -> bytes:
    """The body of an answer."""
    async with asked(http, url) as exchange:
        return await read_all(exchange, 1 << 30)


async def test_an_engine_is_read_no_faster_than_somebody_reads_it(http: EngineHttp, upstream: WireEngine) -> None:
    """Of a body of 26 MB no more than the bound waits in memory; read, it is whole."""
    upstream.will(Wire((stream_head(), *([framed(PIECE)] * PIECES), LAST)))
    async with asked(http, upstream.url) as exchange:
        await asyncio.sleep(0.3)
        first = await exchange.read()
        assert MOST_UNREAD < len(first) < MOST_UNREAD + (1 << 20)
        assert len(first) + len(await read_all(exchange, 1 << 30)) == len(PIECE) * PIECES
    assert len(http.timers.alarms) == 1  # that of the idle connection


async def test_gathered_text_comes_in_one_piece_and_the_urgent_at_once(upstream: WireEngine) -> None:
    """Three pieces come within one tick, the mark of the end before the next one."""
    http = EngineHttp(TIMES, Timers(pulse=Pulse(TICK)))
    gathered = (framed(b"a"), framed(b"b"), 0.005, framed(b"c"), 3 * TICK)
    pieces = (*gathered, framed(b"[DONE]"), 3 * TICK, framed(b"d"), LAST)
    upstream.will(Wire((stream_head(), *pieces)))
    now, came = asyncio.get_running_loop().time, list[tuple[bytes, float]]()
    async with asked(http, upstream.url) as exchange:
        exchange.gather(http.timers.pulse, urgent=b"[DONE]")
        began = now()
        while data := await exchange.read():
            came.append((data, now() - began))
    assert [data for data, _ in came] == [b"abc", b"[DONE]", b"d"]
    assert came[0][1] >= TICK - 0.01
    await http.close()


async def test_idle_connections_are_closed_and_not_used_too_late(
    http: EngineHttp, upstream: WireEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before engines close theirs; until then the one used last is used again."""
    monkeypatch.setattr(client, "KEEP_ALIVE_SECONDS", 0.4)
    upstream.will(*[whole(b"{}")] * 4)
    for _ in range(3):
        await body(http, upstream.url)
    assert upstream.opened_on == [1, 1, 1]
    await asyncio.sleep(1.2)
    assert len(http.timers.alarms) == 0
    await body(http, upstream.url)
    assert upstream.opened_on == [1, 1, 1, 2]


async def test_as_many_connections_as_requests_at_once(http: EngineHttp, upstream: WireEngine) -> None:
    """None waits for another's answer."""
    upstream.will(*[Wire((0.2, *whole(b"{}").pieces))] * 20)
    answers = await asyncio.gather(*(body(http, upstream.url) for _ in range(20)))
    assert answers == [b"{}"] * 20
    assert upstream.connections == 20


async def test_large_requests_arrive_whole(http: EngineHttp, upstream: WireEngine) -> None:
    """Also where they do not fit the kernel's buffers."""
    upstream.will(whole(b"{}"))
    text = "x" * (8 << 20)
    with Watch(http.timers.alarms, TIMES, 60.0) as watch:
        exchange = await http.post(f"{upstream.url}/x", b'{"a": "%b"}' % text.encode(), {}, watch)
        await read_all(exchange, 10)
    assert upstream.asked[0].body == {"a": text}


async def test_a_head_may_come_in_pieces_but_not_without_end(http: EngineHttp, upstream: WireEngine) -> None:
    """40 KB of head in two pieces are taken; 100 KB of a line that has no end are not waited for."""
    long = head(x="y" * 40_000, content_length="2")
    upstream.will(Wire((long[:30_000], 0.05, long[30_000:], b"{}")))
    assert await body(http, upstream.url) == b"{}"
    endless = Wire((b"HTTP/1.1 200 OK\r\nx: ", *([b"y" * 10_000] * 10)), After.HANG)
    upstream.will(endless)
    with pytest.raises(EngineGarbled):
        await body(http, upstream.url)


@pytest.mark.parametrize("framing", ["", "gzip"])
async def test_an_unframed_body_ends_with_its_connection(http: EngineHttp, upstream: WireEngine, framing: str) -> None:
    """Where no length is told, its end is that of the connection, which serves no other request."""
    given = {"transfer_encoding": framing} if framing else {}
    upstream.will(Wire((head(**given), b"some", 0.05, b"thing"), After.CLOSE), whole(b"{}"))
    assert await body(http, upstream.url) == b"something"
    assert await body(http, upstream.url) == b"{}"
    assert upstream.opened_on == [1, 2]


async def test_a_patience_that_ran_out_is_told(http: EngineHttp, upstream: WireEngine) -> None:
    """In words, and the connection is gone with it."""
    upstream.will(Wire((), After.HANG), whole(b"{}"))
    with pytest.raises(EngineTimedOut, match=r"was silent for 0.2 s"):
        async with asked(http, upstream.url, patience=0.2):
            pass
    assert len(http.timers.alarms) == 0
    await body(http, upstream.url)
    assert upstream.opened_on == [1, 2]


@pytest.mark.parametrize("more", [whole(b"stray").data, b"HTTP/1.1 200", b"garbage"])
async def test_what_comes_behind_an_answer_in_one_read_is_no_answer(
    http: EngineHttp, upstream: WireEngine, more: bytes
) -> None:
    """Whole, begun or none at all: its connection serves no other request."""
    upstream.will(Wire((whole(b"{}").data + more,)), whole(b"next"))
    assert await body(http, upstream.url) == b"{}"
    assert await body(http, upstream.url) == b"next"
    assert upstream.opened_on == [1, 2]


async def test_closing_ends_what_is_under_way(http: EngineHttp, upstream: WireEngine) -> None:
    """Whoever waits for an answer hears at once that none comes."""
    upstream.will(Wire((stream_head(), framed(b"x")), After.HANG))
    async with asked(http, upstream.url) as exchange:
        assert await exchange.read() == b"x"
        await http.close()
        with pytest.raises(EngineCut):
            await asyncio.wait_for(exchange.read(), 5)


def test_no_header_can_become_two() -> None:
    """A line break in a value is no request."""
    assert lines_of({"a": "b"}, 5) == b"Content-Length: 5\r\na: b\r\n\r\n"
    for value in ("b\r\nc: d", "b\nc", "b\0"):
        with pytest.raises(ValueError, match="header a"):
            lines_of({"a": value}, 5)


@pytest.mark.parametrize("url", ["http://", "http://[::1", "ftp://host/v1", "/v1", "http://host:99999/v1"])
def test_what_is_no_url_leads_nowhere(url: str) -> None:
    """However it came into the catalogue."""
    with pytest.raises(EngineUnreachable):
        target_of("POST", url)


def test_urls_are_said_as_http_wants_them() -> None:
    """Names and paths beyond ASCII, ports that are usual, addresses of IPv6."""
    assert (
        b"POST /v1/%C3%BC HTTP/1.1\r\nHost: xn--exmple-cua.com\r\n"
        in target_of("POST", "https://exämple.com/v1/ü").head
    )
    assert b"Host: [::1]:8000\r\n" in target_of("GET", "http://[::1]:8000/v1").head
    assert target_of("GET", "https://exämple.com/v1").address == client.Address("xn--exmple-cua.com", 443, is_tls=True)


async def test_an_engine_behind_tls_must_be_who_it_says(
    http: EngineHttp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that a trusted authority vouches for is asked; a stranger, and one of another name, is not."""
    ca = authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(ca.file))
    trusted.cache_clear()
    async with tls_engine(server_context(ca, "localhost")) as port:
        assert await body(http, f"https://localhost:{port}/v1") == b"{}"
        with pytest.raises(EngineUnreachable):
            await body(http, f"https://127.0.0.1:{port}/v1")
    async with tls_engine(server_context(authority(tmp_path / "other"), "localhost")) as port:
        with pytest.raises(EngineUnreachable):
            await body(http, f"https://localhost:{port}/v1")
    trusted.cache_clear()


@asynccontextmanager
async def tls_engine(context: ssl.SSLContext) -> AsyncIterator[int]:
    """The port of an engine that answers `{}` over TLS."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(whole(b"{}").data)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]
