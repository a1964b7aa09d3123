"""Calls of engines, and what came of them."""

from datetime import UTC, datetime, timedelta
from typing import Any

from penstock_common.contracts.catalogue import Price
from penstock_common.contracts.generation import Tokens
from penstock_common.ids import uuid7
from penstock_inference.domain.catalogue import Model
from penstock_inference.ports import Engine, EngineCall, Finished, TextDelta, ToolCallStart, Used

PRICE = Price(version=1, currency="USD", input_nano=1, output_nano=2, cached_input_nano=1)
MESSAGES = [{"role": "user", "content": "Tell me about the river."}]


def a_model(**given: Any) -> Model:
    """A model of an HTTP engine."""
    return Model(
        **{"name": "m", "engine": "openai-compatible", "dialect": "openai-compatible", "price": PRICE, **given}
    )


def a_sim(speed: str = "fast", **given: Any) -> Model:
    """A simulated model."""
    return Model(name=f"sim/{speed}", engine="sim", price=PRICE, **given)


def a_call(model: Model, seconds: float = 300.0, **body: Any) -> EngineCall:
    """A call whose deadline is so far away."""
    deadline = datetime.now(UTC) + timedelta(seconds=seconds)
    return EngineCall(uuid7(), 1, model, {"model": model.name, "messages": MESSAGES, **body}, deadline)


class Heard:
    """A streamed answer, gathered."""

    def __init__(self) -> None:
        self.texts: dict[tuple[int, str], str] = {}
        self.calls: list[tuple[int, int, str, str]] = []
        self.finish: dict[int, str] = {}
        self.used: list[Tokens] = []
        self.logprobs: list[bytes] = []
        self.deltas = 0
        self.blocks: list[int] = []

    @property
    def text(self) -> str:
        """The content of the first choice."""
        return self.texts.get((0, "content"), "")

    def take(self, events: list[Any]) -> None:
        """Add the events of one read."""
        self.blocks.append(len(events))
        for event in events:
            if isinstance(event, TextDelta):
                key = (event.choice, event.channel)
                self.texts[key] = self.texts.get(key, "") + event.text
                self.deltas += 1
                self.logprobs += [event.logprobs] if event.logprobs else []
            elif isinstance(event, ToolCallStart):
                self.calls.append((event.choice, event.index, event.id, event.name))
            elif isinstance(event, Finished):
                self.finish[event.choice] = event.reason
            elif isinstance(event, Used):
                self.used.append(event.tokens)


async def heard(engine: Engine, call: EngineCall, into: Heard | None = None) -> Heard:
    """Everything an engine streams. What came before a failure stays in `into`."""
    gathered = into or Heard()
    async for events in engine.stream(call):
        gathered.take(events)
    return gathered
