"""Everything a generation has produced so far, kept until its row is committed."""

from collections.abc import Iterator, Mapping

from penstock_common.contracts.stream import Delta, Frame, ToolCall, Whole, channel_key

MOST_PARTS = 256  # before they are joined: each takes the memory of fifty characters
PIECE = 64 * 1024  # characters of one delta, so that a long answer fits the bus


class Channel:
    """The text of one channel of one choice, with the logprobs that belong to each stretch of it."""

    __slots__ = ("choice", "length", "marks", "name", "parts")

    def __init__(self, choice: int, name: str) -> None:
        self.choice, self.name = choice, name
        self.parts: list[str] = []
        self.length = 0
        self.marks: list[tuple[int, int, bytes]] = []
        """(offset, end, logprobs) where the engine gave any."""

    def add(self, text: str, logprobs: bytes) -> None:
        """Append text."""
        if logprobs:
            self.marks.append((self.length, self.length + len(text), logprobs))
        self.parts.append(text)
        self.length += len(text)
        if len(self.parts) > MOST_PARTS:
            self.text()

    def text(self) -> str:
        """The whole text; joined once and kept joined."""
        if len(self.parts) > 1:
            self.parts = ["".join(self.parts)]
        return self.parts[0] if self.parts else ""

    def since(self, offset: int, attempt: int) -> Iterator[Delta]:
        """The text from an offset on, in pieces; a piece with logprobs is never cut or joined."""
        if offset >= self.length:
            return
        stretches = list(self._stretches(offset))
        first = stretches[0][0]
        text = self._rest(first)
        for start, end, logprobs in stretches:
            for at in range(start, end, PIECE):
                piece = text[at - first : min(end, at + PIECE) - first]
                yield Delta(attempt, self.choice, self.name, at, piece, logprobs if at == start else b"")

    def _rest(self, offset: int) -> str:
        """The text from an offset on: of a long answer only the newest parts are looked at."""
        at, first = self.length, len(self.parts)
        while at > offset:
            first -= 1
            at -= len(self.parts[first])
        return "".join(self.parts[first:])[offset - at :]

    def _stretches(self, offset: int) -> Iterator[tuple[int, int, bytes]]:
        for start, end, logprobs in self.marks:
            if end > offset:
                if start > offset:
                    yield offset, start, b""
                yield start, end, logprobs
                offset = end
        if offset < self.length:
            yield offset, self.length, b""


class Output:
    """Channels, tool calls and finish reasons of all choices; or the body of an unstreamed answer."""

    def __init__(self) -> None:
        self.channels: dict[str, Channel] = {}
        self.calls: list[tuple[int, int, str, str]] = []
        """(choice, index, id, name) of each tool call, in order of appearance."""
        self.finish: dict[int, str] = {}
        self.body: bytes = b""
        self.whole_text = ""
        """All text of an unstreamed answer, for estimates."""

    def add_text(self, choice: int, channel: str, text: str, logprobs: bytes = b"") -> None:
        """Append generated text."""
        key = channel_key(choice, channel)
        place = self.channels.get(key)
        if place is None:
            place = self.channels[key] = Channel(choice, channel)
        place.add(text, logprobs)

    def add_call(self, choice: int, index: int, id_: str, name: str) -> None:
        """Open a tool call."""
        self.calls.append((choice, index, id_, name))
        self.channels.setdefault(channel_key(choice, f"tool.{index}"), Channel(choice, f"tool.{index}"))

    def lengths(self) -> dict[str, int]:
        """Characters by channel."""
        return {key: channel.length for key, channel in self.channels.items()}

    def text(self) -> str:
        """All that was generated, for counting tokens."""
        names = "".join(name for *_, name in self.calls)
        return self.whole_text + names + "".join(channel.text() for channel in self.channels.values())

    @property
    def is_empty(self) -> bool:
        """Whether nothing was generated yet."""
        return not self.body and not self.calls and all(c.length == 0 for c in self.channels.values())

    def since(self, held: "Progress | Mapping[str, int]", attempt: int) -> list[Frame]:
        """The frames that bring someone who holds `held` up to now."""
        progress = held if isinstance(held, Progress) else Progress(dict(held))
        frames: list[Frame] = [Whole(attempt, self.body)] if self.body and not progress.whole else []
        frames += (ToolCall(attempt, *call) for call in self.calls[progress.calls :])
        for key, channel in self.channels.items():
            frames += channel.since(progress.offsets.get(key, 0), attempt)
        return frames

    def progress(self) -> "Progress":
        """How far the output is now."""
        return Progress(self.lengths(), len(self.calls), whole=bool(self.body))


class Progress:
    """How much of an output someone holds."""

    __slots__ = ("calls", "offsets", "whole")

    def __init__(self, offsets: dict[str, int] | None = None, calls: int = 0, *, whole: bool = False) -> None:
        self.offsets, self.calls, self.whole = offsets or {}, calls, whole
