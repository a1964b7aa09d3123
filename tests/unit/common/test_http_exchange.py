"""Answers that are written straight to their connection, and connections that nobody may hold for nothing."""

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from penstock_common.bounded_http import HEAD_SECONDS, BoundedHttp, end_late
from penstock_common.http_exchange import CHUNKED, EXCHANGE, Exchange
from penstock_common.service import HttpServer

Answer = Callable[[Exchange, Receive], Awaitable[None]]
REQUEST = b"POST /a HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nhello"


class Talk:
    """A connection to a server, in HTTP's own words."""

    def __init__(self, server: HttpServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.server, self.reader, self.writer = server, reader, writer

    async def answer(self) -> tuple[str, bytes]:
        """The head and the body of a response that says its length or is chunked."""
        head = (await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 10)).decode()
        if "transfer-encoding: chunked" not in head:
            length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
            return head, await self.reader.readexactly(length)
        body = b""
        while size := int(await self.reader.readline(), 16):
            body += (await self.reader.readexactly(size + 2))[:-2]
        await self.reader.readline()
        return head, body

    async def rest(self) -> bytes:
        """What comes until the connection is closed."""
        return await asyncio.wait_for(self.reader.read(), 10)

    async def end_late(self, seconds: float) -> None:
        """Let the server look at its connections as if so many seconds had passed since it has heard of this one."""
        while not (connections := self.server.server_state.connections):
            await asyncio.sleep(0.01)
        end_late(connections, asyncio.get_running_loop().time() + seconds)


@asynccontextmanager
async def talk(answer: Answer) -> AsyncIterator[Talk]:
    """A connection to a server that answers so."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await answer(scope["extensions"][EXCHANGE], receive)

    config = uvicorn.Config(app, host="127.0.0.1", port=0, http=BoundedHttp, log_config=None, lifespan="off")
    server = HttpServer(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    reader, writer = await asyncio.open_connection(*server.servers[0].sockets[0].getsockname())
    try:
        yield Talk(server, reader, writer)
    finally:
        writer.close()
        server.should_exit = True
        await serving


async def echo(exchange: Exchange, receive: Receive) -> None:
    """Say the body again."""
    body = exchange.body()
    while body is None or not body.endswith(b"hello"):
        body = (body or b"") + (await receive())["body"]
    exchange.start(200, b"content-length: %d\r\nx-own: 1\r\n" % len(body), body)
    exchange.finish()


async def test_requests_share_a_connection() -> None:
    """Each is answered whole, with the date that uvicorn adds and the head of the route."""
    async with talk(echo) as t:
        for _ in range(3):
            t.writer.write(REQUEST)
            head, body = await t.answer()
            assert head.startswith("HTTP/1.1 200 OK\r\ndate: ")
            assert "\r\nx-own: 1\r\n" in head
            assert "connection" not in head
            assert body == b"hello"
        assert t.server.server_state.total_requests == 3


async def test_pipelined_requests_are_answered_in_order() -> None:
    """The second waits until the first is complete, though it arrived with it."""
    numbers = iter((b"1", b"2"))

    async def answer(exchange: Exchange, receive: Receive) -> None:
        await asyncio.sleep(0.02)
        exchange.start(200, b"content-length: 1\r\n", next(numbers))
        exchange.finish()

    async with talk(answer) as t:
        t.writer.write(REQUEST * 2)
        assert [(await t.answer())[1], (await t.answer())[1]] == [b"1", b"2"]


async def test_body_that_is_not_here_yet_is_waited_for() -> None:
    """It is None at first, then `receive` gives its parts."""
    first: list[bytes | None] = []

    async def answer(exchange: Exchange, receive: Receive) -> None:
        first.append(exchange.body())
        await echo(exchange, receive)

    async with talk(answer) as t:
        t.writer.write(REQUEST[:-2])
        await asyncio.sleep(0.05)
        t.writer.write(REQUEST[-2:])
        assert (await t.answer())[1] == b"hello"
    assert first == [None]


async def test_chunks_arrive_as_they_are_written() -> None:
    """And the last one ends the response, with nothing in it too."""

    async def answer(exchange: Exchange, receive: Receive) -> None:
        exchange.start(200, CHUNKED)
        for piece in (b"one", b"", b"two"):
            exchange.chunk(piece)
            await asyncio.sleep(0)
        exchange.chunk(b"", is_last=True)
        exchange.finish()

    async with talk(answer) as t:
        t.writer.write(REQUEST * 2)
        for _ in range(2):
            assert (await t.answer())[1] == b"onetwo"


@pytest.mark.parametrize("by_client", [True, False])
async def test_connection_is_closed_where_one_side_asks_for_it(by_client: bool) -> None:
    """The head says so, and nothing follows the body."""

    async def answer(exchange: Exchange, receive: Receive) -> None:
        exchange.start(200, b"content-length: 2\r\n", b"ok", keep_alive=by_client)
        exchange.finish()

    async with talk(answer) as t:
        t.writer.write(REQUEST.replace(b"host: x", b"host: x\r\nconnection: close") if by_client else REQUEST)
        assert "\r\nconnection: close\r\n" in (await t.answer())[0]
        assert await t.rest() == b""


async def test_who_leaves_is_noticed_once() -> None:
    """While the answer is made, and at once by who asks later; what is still written goes nowhere."""
    left: list[str] = []
    gone = asyncio.Event()

    async def answer(exchange: Exchange, receive: Receive) -> None:
        exchange.watch(gone.set)
        await gone.wait()
        exchange.watch(lambda: left.append("late"))
        exchange.start(200, b"content-length: 2\r\n", b"ok")
        exchange.finish()
        left.append("done")

    async with talk(answer) as t:
        t.writer.write(REQUEST)
        await asyncio.sleep(0.05)
        t.writer.close()
        await asyncio.wait_for(gone.wait(), 5)
        await asyncio.sleep(0.05)
        assert left == ["late", "done"]


async def test_watch_ends_with_the_response() -> None:
    """Who answered does not hear that its client leaves afterwards."""
    left: list[bool] = []

    async def answer(exchange: Exchange, receive: Receive) -> None:
        exchange.watch(lambda: left.append(True))
        await echo(exchange, receive)

    async with talk(answer) as t:
        t.writer.write(REQUEST)
        await t.answer()
        t.writer.close()
        await asyncio.sleep(0.05)
    assert left == []


async def test_client_that_does_not_read_makes_the_exchange_full() -> None:
    """It has room again once the client reads."""
    written = 0
    is_full = asyncio.Event()

    async def answer(exchange: Exchange, receive: Receive) -> None:
        nonlocal written
        exchange.start(200, CHUNKED)
        while not exchange.is_full:
            exchange.chunk(b"x" * 65_536)
            written += 65_536
        is_full.set()
        await exchange.room()
        exchange.chunk(b"", is_last=True)
        exchange.finish()

    async with talk(answer) as t:
        t.writer.write(REQUEST)
        await asyncio.wait_for(is_full.wait(), 10)
        assert len((await t.answer())[1]) == written


async def test_connection_without_a_request_is_closed_silently() -> None:
    """After the keep-alive time, and a new one after the time for a head; not before."""
    async with talk(echo) as t:
        t.writer.write(REQUEST)
        await t.answer()
        await t.end_late(4)
        t.writer.write(REQUEST)
        await t.answer()
        await t.end_late(6)
        assert await t.rest() == b""
    async with talk(echo) as t:
        await t.end_late(HEAD_SECONDS + 1)
        assert await t.rest() == b""


async def test_head_that_does_not_come_is_408() -> None:
    """The first of a connection, and a later one, which has as much time as the first had."""
    async with talk(echo) as t:
        t.writer.write(REQUEST)
        await t.answer()
        t.writer.write(REQUEST[:20])
        await asyncio.sleep(0.05)
        await t.end_late(HEAD_SECONDS - 1)
        assert not t.reader.at_eof()
        await t.end_late(HEAD_SECONDS + 1)
        assert (await t.rest()).startswith(b"HTTP/1.1 408 ")


async def test_running_answer_is_never_late() -> None:
    """However long it takes, also with half of the next head behind it."""
    may_answer = asyncio.Event()

    async def answer(exchange: Exchange, receive: Receive) -> None:
        await may_answer.wait()
        await echo(exchange, receive)

    async with talk(answer) as t:
        t.writer.write(REQUEST + REQUEST[:20])
        await asyncio.sleep(0.05)
        await t.end_late(math.inf)
        may_answer.set()
        assert (await t.answer())[1] == b"hello"
        t.writer.write(REQUEST[20:])
        assert (await t.answer())[1] == b"hello"


async def test_stopping_server_ends_connections_with_their_answers() -> None:
    """What runs is answered, and told that nothing follows."""
    may_answer = asyncio.Event()

    async def answer(exchange: Exchange, receive: Receive) -> None:
        await may_answer.wait()
        await echo(exchange, receive)

    async with talk(answer) as t:
        t.writer.write(REQUEST)
        await asyncio.sleep(0.05)
        t.server.should_exit = True
        await asyncio.sleep(0.3)
        may_answer.set()
        head, body = await t.answer()
        assert "\r\nconnection: close\r\n" in head
        assert body == b"hello"
