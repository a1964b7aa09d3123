"""What a run prints."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.chaos.checker import Outcome, Violation
from tests.chaos.faults import Done, Kind
from tests.chaos.history import Ending, Story

AFFECTED = 2.0
"""Seconds of silence that say that a fault was noticed; adapters beat and engines speak more often."""
LOST = ("lost", "never_ended", "reconcile: lost", "reconcile: never_ended")
TWICE = ("charged_twice", "reconcile: charged_twice")
SHOWN = 20  # violations that are printed; all are kept
TOLD = (Ending.REFUSED, Ending.UNKNOWN)
"""Endings of requests that nobody is known to have accepted."""


@dataclass
class Result:
    """One run on one bus."""

    bus: str
    seed: int
    streams: int
    faults: list[Done] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    violations: list[Violation] = field(default_factory=list)
    stories: dict[str, Story] = field(default_factory=dict)
    """What clients heard of requests for which a promise was broken, by request id."""
    refused_and_charged: int = 0
    """Requests that ran for a while although their clients were told that they were refused."""
    calls: int = 0
    """Calls of the engine."""

    @property
    def accepted(self) -> list[Outcome]:
        """The requests that were accepted."""
        return [outcome for outcome in self.outcomes if outcome.ending not in TOLD]

    @property
    def failed(self) -> list[Outcome]:
        """Those that were accepted and ended with an honest error."""
        return [outcome for outcome in self.accepted if outcome.ending is Ending.FAILED]

    @property
    def passed(self) -> bool:
        """Whether every promise was kept: no fault of these is a reason to fail a request that was accepted."""
        return not self.violations and not self.failed

    @property
    def recoveries(self) -> list[float]:
        """The longest silence of each client that noticed a fault, in seconds, ascending."""
        noticed = (o.silence for o in self.accepted if o.resumed or o.silence > AFFECTED)
        return sorted(noticed)

    def count(self, *kinds: str) -> int:
        """Violations of these kinds."""
        return sum(violation.kind in kinds for violation in self.violations)

    def lines(self) -> list[str]:
        """The report, for people."""
        kinds = Counter(str(done.fault.kind) for done in self.faults)
        endings = Counter(str(outcome.ending) for outcome in self.outcomes)
        errors = Counter(outcome.error for outcome in self.failed)
        refusals = Counter(outcome.error for outcome in self.outcomes if outcome.ending is Ending.REFUSED)
        silences = self.recoveries
        resumed = [outcome.resumed for outcome in self.accepted if outcome.resumed]
        return [
            f"chaos on {self.bus}, seed {self.seed}, {self.streams} live streams",
            f"  faults         {len(self.faults)}: {_shown(kinds)}",
            f"  servers away   {', '.join(self._away(k) for k in (Kind.RESTART_BUS, Kind.RESTART_POSTGRES))}",
            f"  requests       {len(self.outcomes)}: {_shown(endings)}; {self.calls} calls of the engine",
            f"  refused        {_shown(refusals)}; charged nevertheless {self.refused_and_charged}",
            f"  accepted       {len(self.accepted)}, whole {sum(o.whole for o in self.accepted)}",
            f"  resumed        {len(resumed)} on {sum(resumed)} connections",
            f"  taken over     {sum(o.attempt > 1 for o in self.accepted)}",
            f"  errors         {len(self.failed)} {_shown(errors)}",
            f"  recovery       p50 {percentile(silences, 50):.1f} s, p99 {percentile(silences, 99):.1f} s, "
            f"longest {percentile(silences, 100):.1f} s of {len(silences)} clients that noticed",
            f"  lost           {self.count(*LOST)}",
            f"  charged twice  {self.count(*TWICE)}",
            f"  violations     {len(self.violations)} {_shown(Counter(v.kind for v in self.violations))}",
            *(f"    {v.kind} {v.request_id}: {v.detail}" for v in self.violations[:SHOWN]),
        ]

    def _away(self, kind: Kind) -> str:
        """How long a server was gone, each time."""
        times = [f"{done.ended - done.began:.1f}" for done in self.faults if done.fault.kind is kind]
        return f"{kind.removeprefix('restart ')} {' '.join(times) or 0} s"


def percentile(ascending: Sequence[float], percent: int) -> float:
    """The value below which so many per cent lie; 0 where there is none."""
    if not ascending:
        return 0.0
    return ascending[min(len(ascending) - 1, len(ascending) * percent // 100)]


def _shown(counts: "Counter[str]") -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
