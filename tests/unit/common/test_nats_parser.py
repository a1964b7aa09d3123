"""What NATS sends, taken apart: however it is cut into pieces, each message is read once and whole."""

from typing import Any

import pytest
from nats.errors import ProtocolError

from penstock_common.messaging.nats.parser import LeanParser

OURS, THEIRS = 1, 2
HEAD = b"NATS/1.0\r\nA: 1\r\n\r\n"
WIRE = b"".join(
    (
        b"MSG some.subject 1 3\r\nabc\r\n",
        b"PING\r\n",
        b"HMSG some.subject 1 re.ply 18 20\r\n" + HEAD + b"\r\n\r\n",  # whose body looks like the end of a line
        b"+OK\r\n",
        b'INFO {"server_id":"x"}\r\n',
        b"MSG some.subject 2 re.ply 9\r\nMSG x 1 0\r\n",  # whose body looks like a message
        b"HMSG some.subject 2 18 18\r\n" + HEAD + b"\r\n",
        b"PONG\r\n",
        b"MSG some.subject 1 0\r\n\r\n",
    )
)
READ = [
    ("ours", b"some.subject", b"", b"", b"abc"),
    "ping",
    ("ours", b"some.subject", b"re.ply", HEAD, b"\r\n"),
    {"server_id": "x"},
    ("theirs", b"some.subject", b"re.ply", b"", b"MSG x 1 0"),
    ("theirs", b"some.subject", b"", HEAD, b""),
    "pong",
    ("ours", b"some.subject", b"", b"", b""),
]


class Reader:
    """Notes what it is given."""

    def __init__(self) -> None:
        self.read: list[Any] = []
        self.is_connected = True

    def given(self, sid: int, subject: bytes, reply: bytes, head: bytes, body: bytes) -> bool:
        if sid == OURS:
            self.read.append(("ours", subject, reply, head, body))
        return sid == OURS

    async def _process_msg(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes) -> None:
        assert sid == THEIRS
        self.read.append(("theirs", subject, reply, headers, data))

    async def _process_ping(self) -> None:
        self.read.append("ping")

    async def _process_pong(self) -> None:
        self.read.append("pong")

    async def _process_info(self, info: dict[str, str]) -> None:
        self.read.append(info)

    async def _process_err(self, error: str) -> None:
        self.read.append(error)
        self.is_connected = False


@pytest.mark.parametrize("size", [1, 2, 3, 7, 19, 64, len(WIRE)])
async def test_pieces_of_any_size_say_the_same(size: int) -> None:
    """The reader's buffer ends anywhere: in a line, between its two end bytes, in a head, in a body."""
    reader = Reader()
    parser = LeanParser(reader)
    for at in range(0, len(WIRE), size):
        await parser.parse(WIRE[at : at + size])
    assert reader.read == READ


async def test_a_large_message_is_gathered_without_being_read_again_and_again() -> None:
    """Its pieces are not looked at before it is whole, and what follows it is read too."""
    reader, body = Reader(), bytes(range(256)) * 4096
    parser = LeanParser(reader)
    wire = b"MSG some.subject 1 %d\r\n%b\r\nPING\r\nMSG" % (len(body), body)
    await parser.parse(wire[:4096])
    assert parser.needed == wire.index(b"PING")
    for at in range(4096, len(wire), 4096):
        await parser.parse(wire[at : at + 4096])
    assert reader.read == [("ours", b"some.subject", b"", b"", body), "ping"]
    assert bytes(parser.buf) == b"MSG"


async def test_what_came_before_a_connection_was_lost_is_not_mixed_with_what_comes_after() -> None:
    """What was behind the server's last word is dropped, and so is half a message."""
    reader = Reader()
    parser = LeanParser(reader)
    await parser.parse(b"-ERR 'Stale Connection'\r\nMSG some.subject 1 3\r\nold\r\nMSG some.subject 1 9\r\nhal")
    assert reader.read == ["'stale connection'"]
    reader.is_connected = True
    await parser.parse(b"MSG some.subject 1 3\r\nnew\r\n")
    assert reader.read[1:] == [("ours", b"some.subject", b"", b"", b"new")]


@pytest.mark.parametrize(
    "line",
    [
        b"MSG some.subject 1",
        b"MSG some.subject 1 reply more 0",
        b"MSG some.subject 1 -1",
        b"MSG some.subject one 0",
        b"HMSG some.subject 1 0",
        b"HMSG some.subject 1 x 0",
        b"NONSENSE",
    ],
)
async def test_what_is_no_message_breaks_the_connection(line: bytes) -> None:
    """By the error for which nats-py connects anew."""
    with pytest.raises(ProtocolError):
        await LeanParser(Reader()).parse(line + b"\r\n" * 3)
