"""What inference asks of a model engine. One adapter per kind of engine implements it."""

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

import msgspec

from penstock_common.contracts.base import Contract
from penstock_common.contracts.generation import Tokens
from penstock_common.db.transaction import Transaction
from penstock_inference.domain.catalogue import Model, Snapshot
from penstock_inference.domain.continuing import NO_PREFIX, Prefix


class TextDelta(msgspec.Struct, frozen=True):
    """Text of one channel of one choice: `content`, `reasoning`, `refusal`, or the arguments of call `tool.<index>`."""

    choice: int
    channel: str
    text: str
    logprobs: bytes = b""
    """The engine's logprob entries for this text as a JSON array; empty where not asked for."""


class ToolCallStart(msgspec.Struct, frozen=True):
    """Opens the channel `tool.<index>`."""

    choice: int
    index: int
    id: str
    name: str


class Finished(msgspec.Struct, frozen=True):
    """A choice is complete."""

    choice: int
    reason: str


class Used(msgspec.Struct, frozen=True):
    """The engine's own token counts so far; the last one of a call counts."""

    tokens: Tokens


class WholeAnswer(msgspec.Struct, frozen=True):
    """An unstreamed answer."""

    body: bytes
    """The engine's `chat.completion` object, or its list of embeddings, as JSON."""
    tokens: Tokens | None
    """None where the engine gave no counts."""
    finish: dict[int, str]
    text: str
    """All generated text, for estimates."""


EngineEvent = TextDelta | ToolCallStart | Finished | Used


@dataclass(frozen=True, slots=True)
class EngineCall:
    """One attempt at one request."""

    request_id: UUID
    attempt: int
    model: Model
    body: dict[str, Any]
    """The client's JSON body."""
    deadline: datetime
    traceparent: str = ""
    background: bool = False
    """Whether whatever somebody waits for goes first."""
    prefix: Prefix = NO_PREFIX
    """The beginning of the answer, where it is to be continued: the engine gives what follows."""


class Engine(Protocol):
    """Answers calls. Every failure is a PenstockError."""

    def stream(self, call: EngineCall) -> AsyncGenerator[list[EngineEvent], None]:
        """Events as they come, those of one read together. Closing the generator ends the engine's call at once."""

    async def complete(self, call: EngineCall) -> WholeAnswer:
        """The whole answer. Cancelling it ends the engine's call at once."""

    async def embed(self, call: EngineCall) -> WholeAnswer:
        """The vectors of an embeddings request, as OpenAI's list. Cancelling it ends the engine's call at once."""

    async def close(self) -> None:
        """End what runs and release connections."""


class Engines(Protocol):
    """The engines of a process."""

    def for_model(self, model: Model) -> Engine:
        """The engine that runs a model."""


class CatalogueChanges(Protocol):
    """The catalogue, as those see it who change it."""

    async def change(
        self, tx: Transaction[Any], change: Callable[[Snapshot], Snapshot], because_of: Contract | None = None
    ) -> None:
        """Apply a pure change in the caller's transaction, and publish the new catalogue if it is one."""

    async def refresh(self) -> None:
        """Read the catalogue again if its version is another."""
