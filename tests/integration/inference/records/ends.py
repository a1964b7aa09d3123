"""Ends of generations, as an attempt would make them."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from penstock_common.contracts.generation import GenerateText, Outcome, Tokens
from penstock_common.contracts.stream import Delta, Ended, Frame
from penstock_inference.domain.ending import End, Place

PLACE = Place("some/model", "openai-compatible:upstream", "vllm", 7)


def an_end(command: GenerateText, attempt: int = 1, said: str = "Hello", **given: Any) -> End:
    """A successful end of an attempt that said something."""
    now, tokens = datetime.now(UTC), Tokens(3, 2)
    frames: list[Frame] = [
        Delta(attempt, 0, "content", 0, said),
        Ended(attempt, "succeeded", {0: "stop"}, {"0/content": len(said)}, tokens),
    ]
    end = End(command, attempt, Outcome.SUCCEEDED, tokens, PLACE, now, now, frames=frames)
    return replace(end, **given)
