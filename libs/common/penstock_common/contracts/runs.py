"""Commands, events and queries about tasks and their runs.

What a person wrote or a model answered travels sealed in commands, and in the clear only in replies, which no bus
stores. Events carry ids and counts.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import msgspec

from penstock_common.contracts.base import Contract

DEPTH_HEADER = "penstock-run-depth"
"""HTTP header of what a run sends: how many runs stand above one that it would start there."""


class RunState(StrEnum):
    """Where a run is. The last three are final."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Trigger(StrEnum):
    """What started a run."""

    API = "api"
    SCHEDULE = "schedule"
    WEBHOOK = "webhook"
    RUN = "run"


class StartRun(Contract, frozen=True, kw_only=True, omit_defaults=True):
    """Run a task once; the same id again is the same run."""

    run_id: UUID
    tenant: UUID
    key_id: UUID
    trigger: Trigger
    source_id: str = ""
    """The schedule, webhook or run that started it."""
    task: str = ""
    """A declared task of the tenant; empty where the sealed content brings its own."""
    sealed: bytes = b""
    """JSON `{"task": {…} | null, "input": any}`, sealed by the tenant's key under the run's id."""
    due_at: datetime | None = None
    """The moment that a schedule's tick stands for."""
    depth: int = 0
    """Runs above this one: a run that starts runs must end somewhere."""


class CancelRun(Contract, frozen=True, kw_only=True, omit_defaults=True):
    """End a run before its next step; a finished one stays as it is."""

    run_id: UUID
    tenant: UUID
    reason: str


class RunChanged(Contract, frozen=True, kw_only=True, omit_defaults=True):
    """A run reached a state or a step; a projection ignores an older version."""

    run_id: UUID
    tenant: UUID
    version: int
    """Entries of the run's journal so far."""
    state: RunState
    step: int = 0
    """Steps finished."""
    error_code: str = ""


class SaveTask(Contract, frozen=True, kw_only=True, omit_defaults=True):
    """Declare a task, or replace the one of this name; runs that began keep the version they began with."""

    task_id: UUID
    tenant: UUID
    name: str
    sealed: bytes
    """JSON of the declaration, sealed by the tenant's key under the task's id."""
    saved_at: datetime


class RemoveTask(Contract, frozen=True, kw_only=True, omit_defaults=True):
    """Forget a task; its runs stay."""

    tenant: UUID
    name: str
    removed_at: datetime


class RunEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of a run's journal."""

    version: int
    at: datetime
    kind: str
    """`run.started`, `step.started`, `model.answered`, `tool.answered`, `step.finished`, `run.finished`, …"""
    step: str = ""
    detail: dict[str, Any] = {}
    """A JSON object."""


class RunShown(msgspec.Struct, frozen=True, omit_defaults=True):
    """A run as its owner sees it. `input` and `output` are JSON."""

    run_id: UUID
    task: str
    trigger: Trigger
    state: RunState
    version: int
    created_at: datetime
    source_id: str = ""
    due_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    step: int = 0
    steps: int = 0
    input: Any = None
    output: Any = None
    error_code: str = ""
    error: str = ""


class ReadRun(Contract, frozen=True, kw_only=True, omit_defaults=True):
    """Query: one run of a tenant, and its journal after a version."""

    run_id: UUID
    tenant: UUID
    after: int = 0
    limit: int = 200


class RunReport(Contract, frozen=True, kw_only=True, omit_defaults=True):
    """A run, or none; entries in order, at most as many as asked for."""

    run: RunShown | None = None
    entries: list[RunEntry] = []


class ListRuns(Contract, frozen=True, kw_only=True, omit_defaults=True):
    """Query: the newest runs of a tenant, those before `before` where it is given."""

    tenant: UUID
    before: UUID | None = None
    limit: int = 50
    task: str = ""
    source_id: str = ""


class RunList(Contract, frozen=True, kw_only=True, omit_defaults=True):
    """Runs, newest first, without input and output."""

    runs: list[RunShown] = []


class TaskShown(msgspec.Struct, frozen=True, omit_defaults=True):
    """A declared task. `declaration` is JSON."""

    name: str
    version: int
    saved_at: datetime
    declaration: dict[str, Any] = {}


class ReadTasks(Contract, frozen=True, kw_only=True, omit_defaults=True):
    """Query: the tasks of a tenant in order of name, or the one of a name."""

    tenant: UUID
    name: str = ""
    after: str = ""
    limit: int = 100


class TaskList(Contract, frozen=True, kw_only=True, omit_defaults=True):
    """Tasks."""

    tasks: list[TaskShown] = []
