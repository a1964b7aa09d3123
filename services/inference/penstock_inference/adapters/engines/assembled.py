"""A whole answer out of a stream, from engines that look whether anybody waits only when they write.

What such an engine says once in an unstreamed answer, its last chunks say too: counts, timings, its own build.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from penstock_common.contracts.generation import Tokens
from penstock_inference.ports import EngineEvent, Finished, TextDelta, ToolCallStart, WholeAnswer

_entries = msgspec.json.Decoder(list[msgspec.Raw]).decode


@dataclass(slots=True)
class Choice:
    """One choice so far."""

    texts: dict[str, list[str]] = field(default_factory=dict)
    """By channel."""
    calls: list[ToolCallStart] = field(default_factory=list)
    logprobs: list[msgspec.Raw] = field(default_factory=list)

    def message(self) -> dict[str, Any]:
        """The assistant's message; without any text where it only calls tools."""
        content = self.text("content")
        message: dict[str, Any] = {"role": "assistant", "content": content if content or not self.calls else None}
        if reasoning := self.text("reasoning"):
            message["reasoning_content"] = reasoning
        if refusal := self.text("refusal"):
            message["refusal"] = refusal
        if self.calls:
            message["tool_calls"] = [self._call(call) for call in self.calls]
        return message

    def shown(self, index: int, reason: str) -> dict[str, Any]:
        """The choice as an unstreamed answer has it."""
        shown = {"finish_reason": reason, "index": index, "message": self.message()}
        return shown | ({"logprobs": {"content": self.logprobs}} if self.logprobs else {})

    def text(self, channel: str) -> str:
        """All of a channel."""
        return "".join(self.texts.get(channel, ()))

    def generated(self) -> str:
        """All that was generated."""
        return "".join([*(call.name for call in self.calls), *map(self.text, self.texts)])

    def _call(self, call: ToolCallStart) -> dict[str, Any]:
        function = {"name": call.name, "arguments": self.text(f"tool.{call.index}")}
        return {"type": "function", "function": function, "id": call.id}


class Assembly:
    """Takes the events of a stream."""

    def __init__(self) -> None:
        self._choices: dict[int, Choice] = {}
        self._finish: dict[int, str] = {}
        self._tokens: Tokens | None = None

    def take(self, events: Iterable[EngineEvent]) -> None:
        """Add what one read brought."""
        for event in events:
            if isinstance(event, TextDelta):
                choice = self._choices.setdefault(event.choice, Choice())
                choice.texts.setdefault(event.channel, []).append(event.text)
                choice.logprobs += _entries(event.logprobs) if event.logprobs else ()
            elif isinstance(event, ToolCallStart):
                self._choices.setdefault(event.choice, Choice()).calls.append(event)
            elif isinstance(event, Finished):
                self._finish[event.choice] = event.reason
            else:
                self._tokens = event.tokens

    def answer(self, members: dict[str, msgspec.Raw]) -> WholeAnswer:
        """The answer, with what its chunks said of themselves."""
        choices = {index: self._choices.get(index, Choice()) for index in sorted(self._finish)}
        shown = [choice.shown(index, self._finish[index]) for index, choice in choices.items()]
        body = msgspec.json.encode(members | {"choices": shown, "object": "chat.completion"})
        return WholeAnswer(body, self._tokens, self._finish, "".join(choice.generated() for choice in choices.values()))
