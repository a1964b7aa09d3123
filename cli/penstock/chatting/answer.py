"""One answer as a chat shows it: its text, and how it ended."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx

from penstock.chatting.stream import Stream, StreamFailed
from penstock.client import ApiRefused
from penstock.platform.errors import PlatformError
from penstock.platform.state import State

READ_SECONDS = 60.0


class AnswerFailed(PlatformError):
    """The answer ended with an error."""

    code = "cli.answer_failed"


def client(state: State) -> httpx.Client:
    """Connections with the key for clients."""
    return httpx.Client(
        base_url=state.base_url,
        headers={"authorization": f"Bearer {state.api_key}"},
        timeout=httpx.Timeout(READ_SECONDS, connect=5.0),
        trust_env=False,
    )


@dataclass
class Answer:
    """Asks once; `text` is what was told so far."""

    http: httpx.Client
    model: str
    messages: list[dict[str, str]]
    cuts_after: Callable[[], int] | None = None
    """For `--flaky`: after how many lines a connection is cut."""
    text: str = ""
    finish_reason: str | None = None
    usage: dict[str, Any] | None = None
    stream: Stream = field(init=False)

    def __post_init__(self) -> None:
        body = {"model": self.model, "messages": self.messages, "stream_options": {"include_usage": True}}
        self.stream = Stream(self.http, body, cuts_after=self.cuts_after)

    @property
    def cuts(self) -> int:
        """How often its connection was lost."""
        return max(0, self.stream.connections - 1)

    def pieces(self) -> Iterator[str]:
        """What is new of the text, as it comes. Raises ApiRefused, AnswerFailed."""
        try:
            for chunk in self.stream.chunks():
                self.usage = chunk.get("usage") or self.usage
                for choice in chunk["choices"]:
                    self.finish_reason = choice.get("finish_reason") or self.finish_reason
                    if content := choice["delta"].get("content"):
                        self.text += content
                        yield content
        except StreamFailed as failed:
            raise refusal(failed) from failed

    def stop(self) -> Iterator[str]:
        """End the generation; gives the rest of what there is. Raises as `pieces`."""
        try:
            self.stream.stop()
        except StreamFailed as failed:
            raise refusal(failed) from failed
        except httpx.TransportError as error:
            raise AnswerFailed(f"The generation could not be stopped ({error or type(error).__name__}).") from error
        return self.pieces()


def refusal(failed: StreamFailed) -> PlatformError:
    """A failure as the command line tells it."""
    return AnswerFailed(str(failed)) if failed.status is None else ApiRefused(str(failed), failed.status)
