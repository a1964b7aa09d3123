"""One thing that happened, and what came of it."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class Mark(StrEnum):
    """How far a thing got."""

    DONE = "done"
    OPEN = "open"
    """It may still end by itself."""
    BAD = "bad"
    """It did not end as it should, or will not end by itself."""


@dataclass(slots=True)
class Node:
    """A line of the tree."""

    kind: str
    """`request`, `run`, `document`, `tick`, `event`, `decision`, `handled`, `charge`, …"""
    title: str
    at: datetime | None = None
    service: str = ""
    detail: str = ""
    until: datetime | None = None
    """When it ended, of what has a duration."""
    mark: Mark = Mark.DONE
    id: str = ""
    known: dict[str, Any] = field(default_factory=dict)
    """What scripts are told besides."""
    children: list["Node"] = field(default_factory=list)

    @property
    def milliseconds(self) -> float | None:
        """How long it took."""
        return (self.until - self.at).total_seconds() * 1000 if self.at and self.until else None

    def sort(self) -> None:
        """By time, all the way down; what has none stays behind what it stood behind."""
        last: datetime | None = None
        placed: list[tuple[bool, Any, int, Node]] = []
        for number, child in enumerate(self.children):
            child.sort()
            last = child.at or last
            placed.append((last is not None, last, number, child))
        self.children = [child for _, _, _, child in sorted(placed, key=lambda each: (each[0], each[1] or 0, each[2]))]

    def as_data(self) -> dict[str, Any]:
        """For scripts."""
        told = {
            "kind": self.kind,
            "id": self.id,
            "title": self.title,
            "service": self.service,
            "at": self.at,
            "milliseconds": self.milliseconds,
            "state": self.mark.value,
            "detail": self.detail,
            **self.known,
            "children": [child.as_data() for child in self.children],
        }
        return {name: value for name, value in told.items() if value not in ("", None, [])}
