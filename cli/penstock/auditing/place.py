"""Where a watch keeps what it knows, and how often it looks."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from penstock.platform.files import read_json

EVERY = 60.0  # seconds
SHARE = 20
"""A look that took long is followed by a pause of so many times as long."""
FOLDER = "audit"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a watch keeps what it knows, in a folder of its own."""

    root: Path

    @classmethod
    def of(cls, data: Path) -> "Place":
        """The one in a data folder."""
        return cls(data / FOLDER)

    def prepare(self) -> None:
        """Make the folder."""
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)

    @property
    def notes(self) -> Path:
        """For the next look."""
        return self.root / "notes.json"

    @property
    def report(self) -> Path:
        """What the last look found, as `penstock audit bus --json` prints it."""
        return self.root / "report.json"

    @property
    def metrics(self) -> Path:
        """The same for Prometheus."""
        return self.root / "metrics.prom"

    def last(self) -> dict[str, Any]:
        """What the watch found last; empty where there was none yet."""
        return read_json(self.report)


def in_words(report: Mapping[str, Any]) -> str:
    """What a kept report says, in one sentence."""
    missing = sum(consumer["missing"] for consumer in report["consumers"])
    counts = {"missing": missing, "never said": len(report["unsaid"]), "there twice": len(report["twice"])}
    wrong = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
    return f"{wrong}: penstock audit bus" if wrong else "everything that was said is done, dead or under way"


def age_of(report: Mapping[str, Any]) -> float:
    """Seconds since a kept report was made."""
    return (datetime.now(UTC) - datetime.fromisoformat(report["at"])).total_seconds()


def pause(took: float) -> float:
    """Seconds until the next look, so that looking takes a twentieth of the time at most."""
    return max(EVERY, SHARE * took)
