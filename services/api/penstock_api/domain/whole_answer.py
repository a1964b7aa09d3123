"""An answer that was streamed, put together again as if it had been asked for in one piece."""

from dataclasses import dataclass, field
from typing import Any

import msgspec

from penstock_api.domain.answer import Piece
from penstock_api.domain.embeddings_format import embeddings
from penstock_api.domain.errors import AnswerBroken
from penstock_api.domain.openai_format import FIELDS, Identity, closings, completion, usage_of
from penstock_common.contracts.stream import Delta, Ended, ToolCall

_entries = msgspec.json.Decoder(list[msgspec.Raw]).decode
_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def whole_body(body: bytes, ended: Ended, identity: Identity) -> bytes:
    """The answer of a request that was not streamed, as its client got it; vectors as numbers. Raises AnswerBroken."""
    try:
        is_chat = "choices" in _members(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise AnswerBroken from error
    if is_chat:
        return completion(body, ended, identity)
    return embeddings(body, ended, identity.model, as_base64=False)


@dataclass(slots=True)
class Choice:
    """One choice so far."""

    texts: dict[str, list[str]] = field(default_factory=dict)
    """By channel."""
    logprobs: dict[str, list[msgspec.Raw]] = field(default_factory=dict)
    calls: dict[int, ToolCall] = field(default_factory=dict)

    def take(self, delta: Delta) -> None:
        """Add text."""
        self.texts.setdefault(delta.channel, []).append(delta.text)
        if delta.logprobs:
            self.logprobs.setdefault(delta.channel, []).extend(_entries(delta.logprobs))

    def text(self, channel: str) -> str:
        """All text of a channel."""
        return "".join(self.texts.get(channel, ()))

    def message(self) -> dict[str, Any]:
        """The assistant's message."""
        content = self.text("content")
        message: dict[str, Any] = {
            "role": "assistant",
            "content": content if content or not (self.calls or "refusal" in self.texts) else None,
            "refusal": self.text("refusal") or None,
        }
        message |= {name: self.text(channel) for channel, name in FIELDS.items() if channel in self.texts}
        if self.calls:
            message["tool_calls"] = [self._call(index) for index in sorted(self.calls)]
        return message

    def shown_logprobs(self) -> dict[str, Any] | None:
        """The logprobs, where any were given."""
        if not self.logprobs:
            return None
        return {"content": self.logprobs.get("content"), "refusal": self.logprobs.get("refusal")}

    def _call(self, index: int) -> dict[str, Any]:
        call = self.calls[index]
        function = {"name": call.name, "arguments": self.text(f"tool.{index}")}
        return {"id": call.id, "type": "function", "function": function}


class WholeAnswer:
    """Takes the pieces of a streamed answer."""

    def __init__(self) -> None:
        self._choices: dict[int, Choice] = {}

    def take(self, piece: Piece) -> None:
        """Add a piece; roles say nothing here."""
        if isinstance(piece, Delta):
            self._choice(piece.choice).take(piece)
        elif isinstance(piece, ToolCall):
            self._choice(piece.choice).calls[piece.index] = piece

    def completion(self, ended: Ended, identity: Identity) -> bytes:
        """The answer as a `chat.completion`."""
        return msgspec.json.encode(
            {
                "id": identity.id,
                "object": "chat.completion",
                "created": identity.created,
                "model": identity.model,
                "choices": [self._shown(index, reason) for index, reason in closings(ended)],
                "usage": usage_of(ended.tokens),
            }
        )

    def _choice(self, index: int) -> Choice:
        return self._choices.setdefault(index, Choice())

    def _shown(self, index: int, reason: str) -> dict[str, Any]:
        choice = self._choice(index)
        return {
            "index": index,
            "message": choice.message(),
            "logprobs": choice.shown_logprobs(),
            "finish_reason": reason,
        }
