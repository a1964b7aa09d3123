"""One client's events put together, as any client of the OpenAI API would, and what is wrong with them as a stream."""

import re
import zlib
from dataclasses import dataclass, field
from typing import Any

import msgspec

from tests.chaos.history import Heard
from tests.chaos.script import CALL_NAME

DONE = "[DONE]"
POSITION = re.compile(r"^(\d+):([^!]*)(?:!(\d+))?$")
OFFSET = re.compile(r"=(\d+)")
CONTENT = re.compile(r"(?:^|,)(\d+)c=\d+\.([0-9a-f]+)")


@dataclass(slots=True)
class Read:
    """What a client has after all its events."""

    texts: dict[tuple[int, str], str] = field(default_factory=dict)
    greeted: dict[int, int] = field(default_factory=dict)
    """Role chunks by choice."""
    finish: dict[int, list[str]] = field(default_factory=dict)
    """Finish reasons by choice."""
    call_ids: list[str] = field(default_factory=list)
    usage: list[dict[str, Any]] = field(default_factory=list)
    failures: list[dict[str, Any]] = field(default_factory=list)
    """Error objects."""
    done: int = 0
    attempt: int = 0
    """Of the last event."""
    wrong: list[str] = field(default_factory=list)
    """What no stream may contain."""


class Reader:
    """Takes events one by one."""

    def __init__(self) -> None:
        self.read = Read()
        self._ids: set[str] = set()

    def take(self, heard: Heard) -> None:
        """Add one event."""
        read = self.read
        if read.done or read.failures:
            read.wrong.append(f"after the end: {heard.data[:80]}")
        if heard.data == DONE:
            read.done += 1
        else:
            self._decoded(heard)
        self._position(heard)

    def _decoded(self, heard: Heard) -> None:
        try:
            chunk: dict[str, Any] = msgspec.json.decode(heard.data)
        except msgspec.DecodeError:
            self.read.wrong.append(f"unreadable: {heard.data[:80]}")
            return
        if error := chunk.get("error"):
            self._failed(error)
            return
        for choice in chunk.get("choices") or ():
            self._choice(choice)
        if chunk.get("usage"):
            self.read.usage.append(chunk["usage"])

    def _failed(self, error: Any) -> None:
        self.read.failures.append(error)
        if not isinstance(error, dict) or not all(error.get(name) for name in ("message", "type", "code")):
            self.read.wrong.append(f"an error without message, type and code: {error}")

    def _choice(self, choice: dict[str, Any]) -> None:
        index, delta, read = choice["index"], choice["delta"], self.read
        if delta.get("role"):
            read.greeted[index] = read.greeted.get(index, 0) + 1
            if self._length(index):
                read.wrong.append(f"the role of choice {index} comes after its text")
        if delta.get("content"):
            self._add(index, "content", delta["content"])
        for call in delta.get("tool_calls") or ():
            self._call(index, call)
        if choice.get("finish_reason"):
            read.finish.setdefault(index, []).append(choice["finish_reason"])

    def _call(self, index: int, call: dict[str, Any]) -> None:
        function = call.get("function") or {}
        if call.get("id"):
            self.read.call_ids.append(call["id"])
            if function.get("name") != CALL_NAME:
                self.read.wrong.append(f"a tool call of the name {function.get('name')!r}")
        if function.get("arguments"):
            self._add(index, "tool", function["arguments"])

    def _add(self, index: int, channel: str, text: str) -> None:
        if index in self.read.finish:
            self.read.wrong.append(f"text of choice {index} after its finish reason")
        if not self.read.greeted.get(index):
            self.read.wrong.append(f"text of choice {index} before its role")
        self.read.texts[index, channel] = self.read.texts.get((index, channel), "") + text

    def _length(self, index: int) -> int:
        return sum(len(text) for (choice, _), text in self.read.texts.items() if choice == index)

    def _position(self, heard: Heard) -> None:
        """An event's id is the position after it, and so no id comes twice."""
        read, found = self.read, POSITION.match(heard.id)
        if not found:
            read.wrong.append(f"no position: id {heard.id!r} of {heard.data[:80]}")
            return
        if heard.id in self._ids and not read.failures:  # a failure may leave its client where it is
            read.wrong.append(f"the id {heard.id} came twice")
        self._ids.add(heard.id)
        attempt, held = int(found[1]), sum(map(int, OFFSET.findall(found[2])))
        if attempt < read.attempt:
            read.wrong.append(f"attempt {attempt} after attempt {read.attempt}")
        read.attempt = attempt
        has = sum(map(len, read.texts.values()))
        if held != has:
            read.wrong.append(f"the id {heard.id} says {held} characters, the client has {has}")
        for choice, digest in CONTENT.findall(found[2]):
            if int(digest, 16) != zlib.crc32(read.texts.get((int(choice), "content"), "").encode()):
                read.wrong.append(f"the id {heard.id} is not of the text that the client has")


def read_events(events: list[Heard]) -> Read:
    """What a client has after these events."""
    reader = Reader()
    for heard in events:
        reader.take(heard)
    return reader.read
