"""What a comparison found."""

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, order=True)
class Difference:
    """Two records disagree about a request; an empty `request_id` is about no single one."""

    request_id: str
    kind: str
    detail: str
    settles: bool = False
    """Whether it may only be still under way: it counts once it lasted."""

    @property
    def key(self) -> tuple[str, str]:
        """What stays the same from one comparison to the next."""
        return self.request_id, self.kind


@dataclass(slots=True)
class Report:
    """One comparison of all records."""

    requests: int = 0
    """Requests that inference ended."""
    charged_nano: int = 0
    """The sum over all customer accounts."""
    engine_attempts: int | None = None
    """Attempts that the simulated engine counted; None where its files were not compared."""
    in_flight: list[str] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Whether all records agree."""
        return not self.differences

    @property
    def unsettled(self) -> set[tuple[str, str]]:
        """(request id, kind) of what a later comparison may no longer find."""
        return {d.key for d in self.differences if d.settles}

    def keep(self, lasting: set[tuple[str, str]]) -> None:
        """Of what may settle, keep what lasted; the rest came up meanwhile and is under way."""
        new = self.unsettled - lasting
        self.in_flight += sorted({request_id for request_id, _ in new} - set(self.in_flight))
        self.differences = [d for d in self.differences if d.key not in new]

    def as_json(self) -> dict[str, Any]:
        """What `--json` prints."""
        found = sorted(self.differences)
        return {
            "clean": self.clean,
            "requests": self.requests,
            "charged_nano": self.charged_nano,
            "engine_attempts": self.engine_attempts,
            "in_flight": sorted(self.in_flight),
            "differences": [{k: v for k, v in asdict(d).items() if k != "settles"} for d in found],
        }
