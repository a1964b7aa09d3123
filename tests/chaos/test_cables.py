"""The cable between a service and a server does what it is told, and nothing else."""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from penstock.platform.ports import LOOPBACK
from tests.chaos.acks import AMQP, NATS, Framing, Handling, Mood
from tests.chaos.proxy import Cable, ports_of, through

pytestmark = pytest.mark.chaos

TOKEN = b"PUB $JS.ACK.S.C.1.%d.1.1.1 4\r\n+ACK\r\n"
PUBLISHED = b'MSG _INBOX.x.%d 1 27\r\n{"stream":"S","seq":%06d}\r\n'
OTHERS = b'INFO {"a":1}\r\nPING\r\nHPUB a.b 12 16\r\nNATS/1.0\r\n\r\n+ACK\r\nPUB $JS.ACK.S.C.1.1.1.1.1 4\r\n-NAK\r\n'


def amqp_ack(tag: int, *, multiple: bool = False) -> bytes:
    """A `basic.ack` on channel 1."""
    payload = b"\x00\x3c\x00\x50" + tag.to_bytes(8) + bytes([multiple])
    return b"\x01\x00\x01" + len(payload).to_bytes(4) + payload + b"\xce"


def body(text: bytes) -> bytes:
    """A content frame that looks like an ack inside."""
    payload = b"\x00\x3c\x00\x50" + text
    return b"\x03\x00\x01" + len(payload).to_bytes(4) + payload + b"\xce"


def handled(framing: Framing, way: str, mood: Mood, data: bytes, step: int = 7) -> bytes:
    """What goes on of data that comes a few bytes at a time."""
    handling = Handling(framing, way, random.Random(3))
    parts = [data[at : at + step] for at in range(0, len(data), step)]
    return b"".join(piece for part in parts for piece in handling.handle(part, mood))


@pytest.mark.parametrize("mood", Mood)
@pytest.mark.parametrize(
    ("framing", "data"),
    [(NATS, OTHERS), (AMQP, b"AMQP\x00\x00\x09\x01" + body(b"twelve bytes") + body(b""))],
    ids=["nats", "amqp"],
)
def test_what_acknowledges_nothing_passes_as_it_is(framing: Framing, data: bytes, mood: Mood) -> None:
    """Byte by byte, however it is cut."""
    assert [handled(framing, way, mood, data, step) for way in ("up", "down") for step in (1, 7, 999)] == [data] * 6


@pytest.mark.parametrize(
    ("framing", "way", "acks"),
    [
        (NATS, "up", [TOKEN % n for n in range(9)]),
        (NATS, "down", [PUBLISHED % (n, n) for n in range(9)]),
        (AMQP, "down", [amqp_ack(n) for n in range(9)]),
    ],
    ids=["nats deliveries", "nats publishes", "amqp confirms"],
)
def test_acks_are_lost_doubled_and_reordered(framing: Framing, way: str, acks: list[bytes]) -> None:
    """Some are lost; each comes twice; neighbours change places, and the last one waits for a neighbour."""
    data = b"".join(acks)
    lost = handled(framing, way, Mood.LOST, data)
    assert 0 < len(lost) < len(data)
    assert handled(framing, way, Mood.TWICE, data) == b"".join(ack * 2 for ack in acks)
    reordered = [acks[n ^ 1] for n in range(8)]
    assert handled(framing, way, Mood.REORDERED, data) == b"".join(reordered)
    assert handled(framing, way, Mood.FAIR, data) == data


def test_amqp_clients_keep_to_their_protocol() -> None:
    """A second ack of one delivery, or one for several out of its turn, would be an error of the channel."""
    single, several = amqp_ack(1), amqp_ack(3, multiple=True)
    assert handled(AMQP, "up", Mood.TWICE, single + several) == single + several
    assert handled(AMQP, "up", Mood.REORDERED, several + several) == several + several
    assert handled(AMQP, "up", Mood.REORDERED, amqp_ack(1) + amqp_ack(2)) == amqp_ack(2) + amqp_ack(1)


def test_a_held_ack_is_let_go_when_the_weather_clears() -> None:
    """With whatever comes next, so that it is late and not lost."""
    handling = Handling(NATS, "up", random.Random(3))
    assert b"".join(handling.handle(TOKEN % 1, Mood.REORDERED)) == b""
    assert b"".join(handling.handle(b"PING\r\n", Mood.FAIR)) == TOKEN % 1 + b"PING\r\n"


@asynccontextmanager
async def an_echo(*before: int) -> AsyncIterator[Cable]:
    """A cable to a server that says again what it hears; `before` are ports that are tried first."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            writer.write(data)
        writer.close()

    server = await asyncio.start_server(echo, LOOPBACK, 0)
    port = server.sockets[0].getsockname()[1]
    async with server, Cable([*before, port], None, random.Random(1)).laid() as cable:
        yield cable


async def said(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, size: int = 4) -> float:
    """Say so many bytes and hear them; how long that took, in seconds."""
    began = time.monotonic()
    writer.write(b"x" * size)
    assert await reader.readexactly(size) == b"x" * size
    return time.monotonic() - began


async def test_a_cable_carries_and_is_cut() -> None:
    """A cut resets the connections that there are, and none that comes later; a dead server is passed over."""
    async with an_echo(1) as cable:
        reader, writer = await asyncio.open_connection(LOOPBACK, cable.port)
        await said(reader, writer)
        cable.cut()
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.readexactly(1), 5)
        writer.close()
        again = await asyncio.open_connection(LOOPBACK, cable.port)
        await said(*again)
        again[1].close()


async def test_silence_keeps_what_was_said() -> None:
    """Nothing passes and nothing is closed; when it is over, everything is there. New connections are as silent."""
    async with an_echo() as cable:
        old = await asyncio.open_connection(LOOPBACK, cable.port)
        await said(*old)
        cable.weather.passes.clear()
        new = await asyncio.open_connection(LOOPBACK, cable.port)
        waiting = [asyncio.create_task(said(*each)) for each in (old, new)]
        done, _ = await asyncio.wait(waiting, timeout=0.3)
        assert not done
        cable.weather.clear()
        assert min(await asyncio.wait_for(asyncio.gather(*waiting), 5)) >= 0.3
        for _, writer in (old, new):
            writer.close()


async def test_late_and_narrow_cables_take_their_time() -> None:
    """Both ways are late; bandwidth counts bytes."""
    async with an_echo() as cable:
        reader, writer = await asyncio.open_connection(LOOPBACK, cable.port)
        cable.weather.late = 0.2
        assert await said(reader, writer) >= 0.4
        cable.weather.late, cable.weather.rate = 0.0, 100_000
        assert await said(reader, writer, 20_000) >= 0.4
        cable.weather.clear()
        assert await said(reader, writer, 20_000) < 0.4
        writer.close()


def test_urls_by_way_of_a_cable() -> None:
    """Account, database and options stay."""
    assert through("nats://u:p@10.0.0.1:4222?replicas=3", 7) == "nats://u:p@127.0.0.1:7?replicas=3"
    assert through("postgresql://r:s@127.0.0.1:5432/db", 7) == "postgresql://r:s@127.0.0.1:7/db"
    assert ports_of(["amqp://a:b@h:5/", "http://h:6"]) == [5, 6]
