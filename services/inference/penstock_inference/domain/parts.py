"""A part of an answer: what somebody lacks of it, and not more at once than was asked for."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import msgspec

from penstock_common.contracts.stream import Delta, Frame, ToolCall, channel_key


@dataclass(frozen=True, slots=True)
class Part:
    """Frames to send now."""

    frames: list[Frame]
    is_all: bool
    """Whether nothing is left to be asked for again."""


def lacking(frames: Iterable[Frame], held: Mapping[str, int]) -> Iterator[Frame]:
    """What of a whole answer somebody lacks who holds so many characters by `<choice>/<channel>`.

    Text that has logprobs is never cut: whoever holds some of it gets all of it again. So is a tool call's opening
    until some of its arguments are held, and the body of an unstreamed answer, which is held by nobody in parts.
    """
    for frame in frames:
        if isinstance(frame, Delta):
            missing = _missing(frame, held.get(channel_key(frame.choice, frame.channel), 0))
            if missing is not None:
                yield missing
        elif not isinstance(frame, ToolCall) or not held.get(channel_key(frame.choice, f"tool.{frame.index}")):
            yield frame


def part_of(frames: Iterable[Frame], most: int) -> Part:
    """The first frames, with at most so many characters of text in all; everything where `most` is 0.

    The first text that has logprobs comes whole though it is longer, so that each part brings something. An end comes
    only after everything else.
    """
    if not most:
        return Part(list(frames), is_all=True)
    part: list[Frame] = []
    left = most
    for frame in frames:
        if isinstance(frame, Delta):
            fitting = frame if left == most and frame.logprobs else _fitting(frame, left)
            if fitting is not None:
                part.append(fitting)
                left -= len(fitting.text)
            if fitting is not frame:
                return Part(part, is_all=False)
        else:
            part.append(frame)
    return Part(part, is_all=True)


def _missing(delta: Delta, held: int) -> Delta | None:
    if held >= delta.offset + len(delta.text):
        return None
    if delta.logprobs or held <= delta.offset:
        return delta
    return msgspec.structs.replace(delta, offset=held, text=delta.text[held - delta.offset :])


def _fitting(delta: Delta, most: int) -> Delta | None:
    if len(delta.text) <= most:
        return delta
    if delta.logprobs or most <= 0:
        return None
    return msgspec.structs.replace(delta, text=delta.text[:most])
