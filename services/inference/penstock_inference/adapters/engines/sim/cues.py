"""Lines of a prompt that tell the simulated engine what to answer, used up turn by turn.

    sim: say <text>
    sim: call <tool> {"argument": "value"}
    sim: if <words>: say <text>

Lines of system, developer and user messages count; those of answers and tool results never do.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from penstock_inference.domain.errors import EngineRefused
from penstock_inference.domain.tokens import parts_of

MARK = b"sim: "
LINE = re.compile(r"^sim: (?:if ([^:\n]{1,200}): )?(say|call) (.+)$", re.MULTILINE)
CALL = re.compile(r"([A-Za-z0-9_.-]{1,64})(?: +(.+))?")
OBEYED = ("system", "developer", "user")
READ = ("user", "tool")
LAST = "{last}"
LAST_CHARACTERS = 2000
MOST_CUES = 100


@dataclass(frozen=True, slots=True)
class Order:
    """What the next answer is: a text, or a call of a tool with its arguments as JSON."""

    text: str
    tool: str = ""


@dataclass(slots=True)
class Cue:
    """One line that no answer has used up yet."""

    words: str
    """What must have been read before it counts, casefolded; empty where it always does."""
    verb: str
    rest: str
    is_due: bool = False

    def order(self, last: str) -> Order:
        """The line with `{last}` filled in. Raises EngineRefused for arguments that are no JSON object."""
        if self.verb == "say":
            return Order(self.rest.replace(LAST, last))
        found = CALL.fullmatch(self.rest.strip())
        if found is None:
            raise EngineRefused(f'the line "sim: call {self.rest[:80]}" names no tool: write sim: call <tool> {{…}}')
        arguments = (found[2] or "{}").replace(LAST, json.dumps(last)[1:-1])
        try:
            is_object = isinstance(json.loads(arguments), dict)
        except (ValueError, RecursionError):
            is_object = False
        if not is_object:
            raise EngineRefused(f'the line "sim: call {found[1]} …" needs its arguments as one JSON object')
        return Order(arguments, found[1])


@dataclass(slots=True)
class Prompter:
    """Reads a conversation from its beginning, as whoever answered it did."""

    waiting: list[Cue] = field(default_factory=list)
    read: list[str] = field(default_factory=list)
    last: str = ""

    def take(self, message: dict[str, Any]) -> None:
        """Add one message; an answer uses up the line that it was given by."""
        role = message.get("role")
        if role == "assistant":
            self.next()
            return
        text = text_of(message)
        if role in OBEYED:
            self._expect(text)
            text = LINE.sub("", text)
        if role in READ:
            self.last = text.strip()[:LAST_CHARACTERS]
            self._hear(text.casefold())

    def next(self) -> Cue | None:
        """The first line that counts now, which is used up by that."""
        for index, cue in enumerate(self.waiting):
            if cue.is_due:
                return self.waiting.pop(index)
        return None

    def _expect(self, text: str) -> None:
        for condition, verb, rest in LINE.findall(text):
            words = condition.strip().casefold()
            due = not words or any(words in earlier for earlier in self.read)
            self.waiting.append(Cue(words, verb, rest.strip(), due))
        if len(self.waiting) > MOST_CUES:
            raise EngineRefused(f"a conversation with the simulated engine has at most {MOST_CUES} open sim: lines")

    def _hear(self, text: str) -> None:
        self.read.append(text)
        for cue in self.waiting:
            cue.is_due = cue.is_due or cue.words in text


def order_for(messages: Iterable[dict[str, Any]]) -> Order | None:
    """What the conversation says that the next answer is; None where it says nothing. Raises EngineRefused."""
    prompter = Prompter()
    for message in messages:
        prompter.take(message)
    cue = prompter.next()
    return cue.order(prompter.last) if cue else None


def text_of(message: dict[str, Any]) -> str:
    """A message's text; several parts are lines."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    return "\n".join(part["text"] for part in parts_of(message) if isinstance(part.get("text"), str))
