"""The simulated engine's own count, and how an ended request must agree with it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from penstock.reconcile.report import Difference

BLOCK = 32
"""Tokens announced at a time: a call without a close line produced at most its last count, and no more than 32 less."""


class Line(msgspec.Struct):
    """One line of an engine's file."""

    event: str
    request_id: str
    attempt: int
    prompt_tokens: int = 0
    completion_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Attempt:
    """What one call of the engine produced: between `low` and `high` completion tokens."""

    request_id: str
    attempt: int
    prompt: int
    low: int
    high: int
    closed: bool


@dataclass(frozen=True, slots=True)
class Ended:
    """What the platform recorded for one request."""

    request_id: str
    attempt: int
    outcome: str
    measure: str
    prompt: int
    completion: int
    simulated: bool
    booked: Sequence[int]
    """Attempts in the provider book."""


class Damaged(ValueError):
    """A line other than the last one can't be read."""


def attempts_in(path: Path) -> Iterator[Attempt]:
    """The calls of one file, each once its last line was read. Raises Damaged; a torn last line is no damage."""
    running: dict[tuple[str, int], Attempt] = {}
    with path.open("rb") as file:
        for line in lines(file):
            key = line.request_id, line.attempt
            known = running.get(key)
            if line.event == "close":
                running.pop(key, None)
                yield Attempt(*key, line.prompt_tokens, line.completion_tokens, line.completion_tokens, closed=True)
            elif line.event == "open":
                if known:
                    yield known
                running[key] = Attempt(*key, line.prompt_tokens, 0, 0, closed=False)
            elif known:
                count = line.completion_tokens
                running[key] = Attempt(*key, known.prompt, max(known.low, count - BLOCK), count, closed=False)
    yield from running.values()


def lines(raw: Iterable[bytes]) -> Iterator[Line]:
    """Decoded lines. Raises Damaged, except for a last line without its end."""
    decode = msgspec.json.Decoder(Line).decode
    for number, line in enumerate(raw, 1):
        if not line.endswith(b"\n"):
            return
        try:
            yield decode(line)
        except msgspec.MsgspecError as error:
            raise Damaged(f"line {number}: {error}") from error


def compare(ended: Ended, calls: Mapping[int, Sequence[Attempt]]) -> Iterator[Difference]:
    """Exact for a whole answer that the engine measured and closed, bounded for everything else.

    A bus that crashed forgets its deliveries: an attempt may have called the engine twice, and one of its calls counts.
    An answer that was cut costs what was delivered, and that may come from an attempt before the last one.
    """
    charged = calls.get(ended.attempt, ())
    if ended.outcome != "succeeded":
        charged = [call for attempt, made in calls.items() if attempt <= ended.attempt for call in made]
    if not charged:
        if ended.simulated and ended.prompt + ended.completion:
            said = f"attempt {ended.attempt} is charged {ended.prompt} + {ended.completion} tokens"
            yield Difference(ended.request_id, "engine_unknown", f"{said}; the engine does not know it")
    elif not any(agrees(ended, call) for call in charged):
        yield Difference(ended.request_id, "engine_differs", _said(ended, charged))
    for attempt in sorted(calls.keys() - {ended.attempt} - set(ended.booked)):
        detail = f"attempt {attempt} is known to the engine and missing in the provider book"
        yield Difference(ended.request_id, "attempt_not_booked", detail, settles=True)


def agrees(ended: Ended, attempt: Attempt) -> bool:
    """Whether the tokens recorded can be what the engine counted."""
    if ended.outcome == "succeeded" and ended.measure == "measured":
        return ended.prompt == attempt.prompt and attempt.low <= ended.completion <= attempt.high
    return ended.prompt <= attempt.prompt and ended.completion <= attempt.high


def _said(ended: Ended, calls: Sequence[Attempt]) -> str:
    recorded = f"{ended.prompt} + {ended.completion} tokens ({ended.outcome}, {ended.measure})"
    counted = " or ".join(
        f"{call.prompt} + {call.high if call.closed else f'{call.low} to {call.high}'}" for call in calls
    )
    return f"attempt {ended.attempt}: recorded {recorded}; the engine counted {counted}"
