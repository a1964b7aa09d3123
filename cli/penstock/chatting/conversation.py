"""Turns of a conversation on a terminal, or a single one."""

import contextlib
import random
import sys
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from penstock.chatting.answer import Answer
from penstock.platform.errors import PlatformError

FEWEST, MOST = 4, 14  # lines that a flaky connection brings; an event has three, and the shortest answer five events
HELP = "Ctrl-C stops an answer, Ctrl-D ends the conversation."


def cuts_at_random() -> int:
    """After how many lines a flaky connection is cut, mostly in the middle of an event."""
    return random.randint(FEWEST, MOST)  # noqa: S311 (no secret)


def chat_model(models: Sequence[dict[str, Any]]) -> str:
    """The first model that chats, a real one before a simulated one. Raises PlatformError where there is none."""
    chatting = [model for model in models if "chat" in model["capabilities"]]
    if not chatting:
        raise PlatformError("No model that can chat is served. Add one: penstock models add --help")
    name: str = min(chatting, key=lambda model: model["simulated"])["name"]
    return name


@dataclass
class Conversation:
    """What was said so far."""

    http: httpx.Client
    model: str
    system: str = ""
    flaky: bool = False
    messages: list[dict[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.system:
            self.messages.append({"role": "system", "content": self.system})

    def ask(self, prompt: str, show: Callable[[str], None]) -> Answer:
        """The answer, shown as it comes and then remembered. Ctrl-C ends its generation, and is raised."""
        messages = [*self.messages, {"role": "user", "content": prompt}]
        answer = Answer(self.http, self.model, messages, cuts_at_random if self.flaky else None)
        try:
            for piece in answer.pieces():
                show(piece)
        except KeyboardInterrupt:
            for piece in answer.stop():
                show(piece)
            print(f"\n(stopped, finish_reason: {answer.finish_reason})", file=sys.stderr)
            raise
        finally:
            if answer.text:
                self.messages = [*messages, {"role": "assistant", "content": answer.text}]
        return answer

    def talk(self) -> None:
        """Turn after turn, until Ctrl-D."""
        print(f"{self.model}. {HELP}")
        with contextlib.suppress(EOFError):
            while True:
                prompt = input("\nyou> ")
                if prompt.strip():
                    self._turn(prompt)
        print()

    def _turn(self, prompt: str) -> None:
        try:
            answer = self.ask(prompt, show)
        except KeyboardInterrupt:
            return
        except PlatformError as error:
            print(f"\npenstock: {error}", file=sys.stderr)
        else:
            print()
            tell_cuts(answer)


def show(piece: str) -> None:
    """Print a piece at once; a terminal gets no control characters that a model may have made up."""
    sys.stdout.write(harmless(piece) if sys.stdout.isatty() else piece)
    sys.stdout.flush()


def harmless(text: str) -> str:
    """Without what moves a terminal's cursor or changes its settings."""
    return "".join(c for c in text if c in "\n\t" or unicodedata.category(c) != "Cc")


def tell_cuts(answer: Answer) -> None:
    """Say how often the connection was lost, if it was."""
    if answer.cuts:
        print(f"({answer.cuts} connection(s) cut, nothing lost)", file=sys.stderr)
