"""What the routes of tasks and runs take and give."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from penstock_common.contracts.runs import RunShown, RunState, TaskShown, Trigger

AT = "2030-01-31T12:00:00Z"
ID = "01936f3e-8f2a-7c31-9d2e-5b8f6a1c0d4e"
DECLARATION: dict[str, Any] = {
    "steps": [
        {"name": "probe", "kind": "http", "url": "{{ input.url }}", "expect": "any"},
        {
            "name": "judge",
            "kind": "model",
            "model": "sim/fast",
            "messages": [{"role": "user", "content": "Is this healthy? {{ steps.probe.output.text }}"}],
        },
    ]
}
INPUT: dict[str, Any] = {"url": "https://example.com/"}


class RunWanted(BaseModel):
    """A run to be started."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"task": "probe", "input": INPUT}})

    task: str | dict[str, Any] = Field(description="The name of a declared task, or a declaration of its own.")
    input: Any = Field(None, description="JSON that the task's templates see as `input`.")


class RunAccepted(BaseModel):
    """The run is accepted and will be carried out."""

    model_config = ConfigDict(json_schema_extra={"example": {"id": ID}})

    id: UUID


class RunSummary(BaseModel):
    """A run, without input and output."""

    id: UUID
    task: str = Field(description="Empty where the declaration came with the run.")
    trigger: Trigger
    source_id: str = Field(description="The schedule, webhook or run that started it.")
    state: RunState
    version: int = Field(description="Entries of its journal: the id of its last event.")
    step: int = Field(description="Steps that ended.")
    steps: int = Field(description="Steps of its task; 0 until it began.")
    created_at: datetime
    due_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    error_code: str
    error: str


class RunView(RunSummary):
    """A run."""

    input: Any = None
    output: Any = None


class RunPage(BaseModel):
    """Runs of a project, the newest first."""

    runs: list[RunSummary]


class TaskSummary(BaseModel):
    """A declared task."""

    name: str
    version: int = Field(description="How often it was saved.")
    saved_at: datetime


class TaskView(TaskSummary):
    """A declared task with its declaration."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"name": "probe", "version": 1, "saved_at": AT, "declaration": DECLARATION}}
    )

    declaration: dict[str, Any] = Field(description="Secrets of webhooks are left out.")


class TaskPage(BaseModel):
    """Tasks of a project by name."""

    tasks: list[TaskSummary]


class TaskOrdered(BaseModel):
    """The order is kept and will be carried out."""

    name: str


def summary_of(run: RunShown) -> RunSummary:
    """A run in the names of its routes."""
    return RunSummary(id=run.run_id, **{name: getattr(run, name) for name in RunSummary.model_fields if name != "id"})


def view_of(run: RunShown) -> RunView:
    """A run with input and output."""
    return RunView(**summary_of(run).model_dump(), input=run.input, output=run.output)


def task_view_of(task: TaskShown) -> TaskView:
    """A task in the names of its routes."""
    return TaskView(name=task.name, version=task.version, saved_at=task.saved_at, declaration=task.declaration)
