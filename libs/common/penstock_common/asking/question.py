"""What is asked of a model, and what comes back."""

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from penstock_common.contracts.base import Decision
from penstock_common.contracts.embedding import VectorizeTexts
from penstock_common.contracts.generation import GenerateText, Tokens
from penstock_common.contracts.stream import Failure
from penstock_common.errors import Fault, PenstockError


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A request to a model, unstreamed. Its id must be kept before it is asked: the same id is the same answer."""

    request_id: UUID
    tenant: UUID
    key_id: UUID
    model: str
    body: dict[str, Any]
    """OpenAI's JSON of a chat completion, or of an embeddings request."""
    contract: type[GenerateText] = GenerateText
    """The lane: `GenerateText`, `EmbedTexts` or `VectorizeTexts`."""
    seconds: float = 300.0
    """How long after now the answer may still be given."""
    asked_before: bool = False
    """Whether a process that died may have asked it: what it asked for is looked up before it is asked for again."""
    decisions: list[Decision] = field(default_factory=list)

    @property
    def lane(self) -> str:
        """Documents wait behind documents only."""
        return "indexing" if issubclass(self.contract, VectorizeTexts) else "interactive"


@dataclass(frozen=True, slots=True)
class Answered:
    """A complete answer: the engine's JSON and what it took."""

    body: dict[str, Any]
    tokens: Tokens


class AskFailed(PenstockError):
    """The model gave no answer."""

    code = "common.ask_failed"
    fault = Fault.UNAVAILABLE

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure_code = failure.code
        """The public code of whatever kept the model from answering."""
        self.failure_fault = failure.fault
        self.retry_after = failure.retry_after or self.retry_after

    @property
    def passes(self) -> bool:
        """Whether the same question, under a new id, may be answered later."""
        return self.failure_fault in {fault.value for fault in Fault if fault.passes}
