"""What a check says."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum

from penstock.platform.folder import DataFolder
from penstock.platform.state import State


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    SKIPPED = "skipped"
    """It could not be looked at, or there is nothing to look at; `problem` says why."""
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    check: str
    level: Level = Level.OK
    problem: str = ""
    """What is wrong, in one sentence."""
    where: str = ""
    mend: str = ""
    """What to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """What is examined."""

    folder: DataFolder
    state: State | None = None
    """The platform that runs, if one does."""
    why_not: str = ""
    """Why `state` is none."""
    bus: str = ""
    """URL; empty where none is known."""
    database: str = ""
    port: int | None = None
    """The port that `penstock up --port` is to have."""
    elsewhere: bool = False
    """The platform runs in other machines or containers."""


Check = Callable[[Patient], Awaitable[list[Finding]]]
