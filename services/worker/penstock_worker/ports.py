"""What runs need of the outside, and what a kind of step is to a run."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol, TypeVar
from uuid import UUID

from penstock_common.asking import Answered, Question
from penstock_common.contracts.base import Contract
from penstock_common.contracts.runs import CancelRun, RemoveTask, RunEntry, RunState, SaveTask, StartRun, Trigger
from penstock_common.db.transaction import Transaction
from penstock_common.tasks.declaration import AnyStep, Step
from penstock_worker.domain.calls import Call

Q = TypeVar("Q", bound=Contract)


@dataclass(frozen=True, slots=True)
class Hold:
    """The right to write a run's journal: lost as soon as another process has a higher epoch."""

    run_id: UUID
    owner: str
    epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """A run that this process holds now."""

    hold: Hold
    tenant: UUID
    key_id: UUID
    task: str
    """Its name; empty for one that came with the run."""
    trigger: Trigger
    source_id: str
    due_at: datetime | None
    depth: int
    deaths: int
    """Processes that went silent while they ran it, since its last step."""
    cancel_reason: str
    """Why it is to be ended instead; empty where it is not."""
    traceparent: str = ""
    """The span that led to it."""
    replay: str = ""
    """The act that said its command again; empty where none did."""
    effects: str = ""
    """Whether a replayed one may reach outside of the platform, as its command said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """A line for the journal, and what becomes true with it."""

    kind: str
    step: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)
    publish: Sequence[tuple[str, Contract]] = ()
    """Messages, each with its id."""
    steps: int = 0
    """Steps of the task, where they are known now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """How a run ended."""

    state: RunState
    output: Any = None
    error_code: str = ""
    error: str = ""
    publish: Sequence[tuple[str, Contract]] = ()
    """Messages, each with its id."""


@dataclass(frozen=True, slots=True)
class StateChange:
    """A change of what a task remembers, and how the change is computed."""

    key: str
    compute: Callable[[Mapping[str, Any]], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Child:
    """A run that another one started; `output` where it succeeded."""

    state: RunState
    output: Any
    error_code: str
    error: str


class RunStore(Protocol):
    """Runs, their journals, and what tasks remember. Every method raises DatabaseUnavailable."""

    async def claim(self, owner: str, limit: int) -> list[Claimed]:
        """Take up runs that nobody holds, the oldest first."""

    async def content(self, held: Claimed) -> tuple[Any, Any]:
        """The declaration and the input, as JSON. Raises SubjectErased, ContractViolated."""

    async def entries(self, run_id: UUID) -> list[RunEntry]:
        """A run's journal. Raises SubjectErased."""

    async def append(self, held: Claimed, note: Note) -> RunEntry:
        """Write the next line, with what is published, in one transaction. Raises Superseded."""

    async def remember(self, held: Claimed, step: str, change: StateChange) -> RunEntry:
        """Change what the task remembers and finish the step that does so, in one transaction. Raises Superseded."""

    async def end(self, held: Claimed, end: End) -> None:
        """Write the last line and the outcome. Raises Superseded."""

    async def release(self, held: Claimed, delay: float) -> None:
        """Let it go, to be taken up by anyone after so many seconds."""

    async def beat(self, holds: Collection[Hold]) -> dict[UUID, str]:
        """Extend the leases of those still held: why each is to be cancelled, empty where it is not."""

    async def child(self, run_id: UUID) -> Child | None:
        """A run that another one started; None until it is known."""


class Models(Protocol):
    """Asks models over the bus."""

    async def ask(self, question: Question) -> Answered:
        """The answer: the same for the same request id. Raises AskFailed, BusUnavailable."""


class Queries(Protocol):
    """Asks other services over the bus."""

    async def ask(self, question: Contract, reply: type[Q], seconds: float) -> Q:
        """Their answer. Raises BusUnavailable, NoAnswer."""


class Journal(Protocol):
    """A run's journal, as a kind of step uses it."""

    async def once(self, name: str, kind: str, make: Callable[[Call], Awaitable[Any]]) -> Any:
        """The JSON that a call within the running step gives: from the journal where it is there, else made and kept.

        `kind` is MODEL_ANSWERED or TOOL_ANSWERED. What the call raises is not kept. Raises Superseded, OutputTooLarge.
        """

    async def ask(self, call: Call, model: str, body: dict[str, Any], seconds: float) -> dict[str, Any]:
        """A model's answer to OpenAI's chat body, stopped if the run is cancelled.

        Raises ModelRefused, ModelUnavailable, BusUnavailable.
        """

    async def remember(self, change: StateChange) -> None:
        """Change what the task remembers and finish the running step, together: its output is `before` and `after`."""

    async def publish(self, name: str, message: Contract, message_id: str) -> None:
        """Publish with the next line of the journal, once by this name."""

    async def child(self, run_id: UUID) -> Child | None:
        """A run that this one started; None until it is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepContext:
    """What a step is carried out with."""

    run: Claimed
    call: Call
    """The step's own."""
    begun_at: datetime
    seconds: float
    """Left of the step's time-out."""
    scope: Mapping[str, Any]
    """`input`, `steps`, `run`: what templates look into."""


S_contra = TypeVar("S_contra", bound=Step, contravariant=True)


class StepRunner(Protocol[S_contra]):
    """Carries out one kind of step, whose templates are rendered already."""

    async def run(self, step: S_contra, context: StepContext, journal: Journal) -> Any:
        """The step's output as JSON. Raises a PenstockError for a failure of the step, Parked to wait unheld."""


Runners = Mapping[type[AnyStep], StepRunner[Any]]


class Intake(Protocol):
    """What handlers do, each within the transaction that they are given."""

    async def start(self, tx: Transaction[Any], command: StartRun) -> None:
        """Keep a run to be taken up, or its refusal; a known one stays as it is."""

    async def cancel(self, tx: Transaction[Any], command: CancelRun) -> None:
        """Mark a run as to be ended; one that nobody holds ends at once."""

    async def save(self, tx: Transaction[Any], command: SaveTask) -> None:
        """Keep a declaration, unless a newer one is kept."""

    async def remove(self, tx: Transaction[Any], command: RemoveTask) -> None:
        """Forget a declaration, unless it was saved later."""
