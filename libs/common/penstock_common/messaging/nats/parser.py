"""Takes apart what the server sends, without trying nats-py's patterns on every message."""

from typing import Protocol

from nats.errors import ProtocolError
from nats.protocol.parser import Parser

LINE_END = b"\r\n"
FEWEST = {b"MSG": 4, b"HMSG": 5}
"""Words of a message's line where it names no subject to reply to; with one, there is one more."""


class Reader(Protocol):
    """Whose connection it is."""

    @property
    def is_connected(self) -> bool:
        """Whether what comes is still of the connection that it was read from."""

    def given(self, sid: int, subject: bytes, reply: bytes, head: bytes, body: bytes) -> bool:
        """Take a message; False for one that is nats-py's."""

    async def _process_msg(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes) -> None: ...


class LeanParser(Parser):
    """Reads messages itself, and leaves every other line to nats-py.

    Between two calls `buf` holds what is not whole yet, from the beginning of its line, and `needed` how much that is
    to be, 0 where its line is not whole either.
    """

    def __init__(self, reader: Reader) -> None:
        super().__init__(reader)
        self._reader = reader

    async def parse(self, data: bytes = b"") -> None:
        """Take what was read. Raises ProtocolError."""
        if self.buf:
            self.buf += data
            if len(self.buf) < self.needed:
                return
            data = bytes(self.buf)
            self.reset()
        at = 0
        while (end := data.find(LINE_END, at)) >= 0:
            words, begin = data[at:end].split(), end + len(LINE_END)
            if words and words[0] in FEWEST:
                stop = begin + _number(words[-1])
                if len(data) < stop + len(LINE_END):
                    self.needed = stop + len(LINE_END) - at
                    break
                await self._message(words, data, begin, stop)
                at = stop + len(LINE_END)
            else:
                await super().parse(data[at:begin])
                at = begin
            if not self._reader.is_connected:
                return
        self.buf += data[at:]

    async def _message(self, words: list[bytes], data: bytes, begin: int, stop: int) -> None:
        kind, more = words[0], len(words) - FEWEST[words[0]]
        if more not in (0, 1):
            raise ProtocolError
        sid, subject, reply = _number(words[2]), words[1], words[3] if more else b""
        body = begin + (_number(words[-2]) if kind == b"HMSG" else 0)
        if not self._reader.given(sid, subject, reply, data[begin:body], data[body:stop]):
            await self._reader._process_msg(sid, subject, reply, data[body:stop], data[begin:body])


def _number(word: bytes) -> int:
    """A number of the protocol. Raises ProtocolError."""
    if not word.isdigit():
        raise ProtocolError
    return int(word)
