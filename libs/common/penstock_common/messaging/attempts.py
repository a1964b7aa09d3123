"""The story of a message's attempts: who tried, when, and what came of it; bounded, as it travels in a header."""

import os
import socket
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache

import msgspec

NO_ANSWER = "delivery.no_answer"
"""The code of an attempt whose process died, froze or was cut off."""
NO_WORD = "no answer: the process died or froze"
"""The reason of the same, where nothing else is known."""
FIRST_KEPT, LAST_KEPT = 3, 7
REASON_LENGTH = 200  # characters
CODE_LENGTH = 100


class Attempt(msgspec.Struct, frozen=True, omit_defaults=True):
    """One attempt that ended with a word."""

    number: int
    """From 1, over all lanes of the consumer."""
    at: str
    """When it ended, in ISO 8601."""
    process: str
    """`host:pid`."""
    code: str
    reason: str
    trace: str = ""
    """The id of its trace; empty where there was none."""


Story = Sequence[Attempt]

_decoder = msgspec.json.Decoder(tuple[Attempt, ...])


def attempted(number: int, code: str, reason: str, traceparent: str) -> Attempt:
    """An attempt that ends now, in this process."""
    _, _, rest = traceparent.partition("-")  # version, trace, span, flags
    process, now = f"{_host()}:{os.getpid()}", datetime.now(UTC).isoformat()
    return Attempt(number, now, process, code[:CODE_LENGTH], reason[:REASON_LENGTH], rest.partition("-")[0])


def continued(story: Story, attempt: Attempt | None, earlier: int = 0) -> Story:
    """The story with one more attempt, if there was one, after `earlier` ones on another lane; never too long."""
    if attempt is None:
        return story
    whole = (*story, msgspec.structs.replace(attempt, number=attempt.number + earlier))
    return whole if len(whole) <= FIRST_KEPT + LAST_KEPT else (*whole[:FIRST_KEPT], *whole[-LAST_KEPT:])


def read_story(written: str) -> Story:
    """A header's story; nothing where it is none."""
    try:
        return _decoder.decode(written) if written else ()
    except msgspec.MsgspecError:
        return ()


def written_story(story: Story) -> str:
    """A story as a header: one line of ASCII, as everything in it is."""
    return msgspec.json.encode(story).decode()


@cache
def _host() -> str:
    return socket.gethostname()
