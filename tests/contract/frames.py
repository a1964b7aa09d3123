"""Golden stream frames: each as it was first packed, in hexadecimal digits."""

import json
from pathlib import Path

from penstock_common.contracts.generation import Measure, Tokens
from penstock_common.contracts.stream import Beat, Delta, Ended, Failure, Frame, ToolCall, Whole

PATH = Path(__file__).parent / "golden" / "stream.frames.json"

FRAMES: dict[str, list[Frame]] = {
    "delta": [Delta(1, 0, "content", 7, "Grüße")],
    "delta with logprobs": [Delta(2, 1, "reasoning", 0, "so", b'[{"token":"so"}]')],
    "tool call": [ToolCall(1, 0, 3, "call_1", "weather")],
    "whole": [Whole(1, b'{"object":"chat.completion"}')],
    "ended": [Ended(1, "succeeded", {0: "stop"}, {"0/content": 12}, Tokens(3, 4))],
    "ended badly": [
        Ended(2, "partial", {}, {}, Tokens(3, 4, 1, 2, Measure.PARTIAL), Failure("a.code", "timeout", "Why.", 2.5))
    ],
    "beat": [Beat(1)],
    "several": [Delta(1, 0, "content", 0, "a"), ToolCall(1, 0, 0, "c", "f"), Delta(1, 0, "tool.0", 0, "{}")],
}


def released() -> dict[str, str]:
    """Name → the bus message, in hexadecimal digits."""
    known: dict[str, str] = json.loads(PATH.read_text()) if PATH.exists() else {}
    return known
