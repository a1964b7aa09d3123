"""How far a run came: what its journal says, entry by entry."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from penstock_common.contracts.runs import RunEntry
from penstock_worker.domain.errors import OutputTooLarge

RUN_STARTED, RUN_RESUMED, RUN_FINISHED = "run.started", "run.resumed", "run.finished"
STEP_STARTED, STEP_FINISHED, STEP_FAILED, STEP_SKIPPED = "step.started", "step.finished", "step.failed", "step.skipped"
MODEL_ANSWERED, TOOL_ANSWERED = "model.answered", "tool.answered"
ENDED = frozenset({STEP_FINISHED, STEP_FAILED, STEP_SKIPPED})
ANSWERED = frozenset({MODEL_ANSWERED, TOOL_ANSWERED})

MAX_OUTPUT = 2 << 20  # bytes of one step's output as JSON
MAX_OUTPUTS = 8 << 20  # of all that a run keeps


@dataclass(frozen=True, slots=True)
class Begun:
    """A step that was begun."""

    call_id: UUID
    at: datetime


@dataclass(slots=True)
class Progress:
    """Steps and calls that ended, in a form that templates and conditions look into."""

    version: int = 0
    """Entries of the journal."""
    steps: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By name: `ok`, `skipped`, `output`, `error`."""
    begun: dict[str, Begun] = field(default_factory=dict)
    answers: dict[tuple[str, str], Any] = field(default_factory=dict)
    """By step and call: what came back."""
    kept: int = 0
    """Bytes of outputs and answers."""

    @classmethod
    def of(cls, entries: Iterable[RunEntry]) -> "Progress":
        """What a journal says, in order."""
        progress = cls()
        for entry in entries:
            progress.take(entry)
        return progress

    def take(self, entry: RunEntry) -> None:
        """Add the next entry."""
        self.version = entry.version
        detail = entry.detail
        if entry.kind == STEP_STARTED:
            self.begun[entry.step] = Begun(UUID(detail["call"]), entry.at)
        elif entry.kind in ANSWERED:
            self.answers[entry.step, detail["name"]] = detail["answer"]
            self.kept += size_of(detail["answer"])
        elif entry.kind in ENDED:
            self.steps[entry.step] = {
                "ok": entry.kind == STEP_FINISHED,
                "skipped": entry.kind == STEP_SKIPPED,
                "output": detail.get("output"),
                "error": detail.get("error"),
            }
            self.kept += size_of(detail.get("output"))

    def check_fits(self, output: Any) -> None:
        """Raises OutputTooLarge where an output is more than may be kept."""
        size = size_of(output)
        if size > MAX_OUTPUT or self.kept + size > MAX_OUTPUTS:
            raise OutputTooLarge

    @staticmethod
    def check_output(output: Any) -> None:
        """Raises OutputTooLarge where the output of a whole run is."""
        if size_of(output) > MAX_OUTPUT:
            raise OutputTooLarge

    @property
    def last_output(self) -> Any:
        """The output of the last step that ran to its end."""
        return next((step["output"] for step in reversed(self.steps.values()) if step["ok"]), None)

    def scope(self, given: Any, run: Mapping[str, Any]) -> dict[str, Any]:
        """What templates and conditions look into."""
        return {"input": given, "steps": self.steps, "run": run}


def size_of(value: Any) -> int:
    """Bytes of a value as JSON."""
    return 0 if value is None else len(msgspec.json.encode(value))
