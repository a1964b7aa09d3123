"""What a run prints."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.chaos.checker import Outcome, Violation
from tests.chaos.faults import BUS, POSTGRES, Done, Kind
from tests.chaos.history import Ending, Story

AFFECTED = 2.0
"""Seconds of silence that say that a fault was noticed; adapters beat and engines speak more often."""
LOST = ("lost", "never_ended", "reconcile: lost", "reconcile: never_ended")
TWICE = ("charged_twice", "reconcile: charged_twice")
BROKEN = (
    "text_differs",
    "call_differs",
    "role_twice",
    "malformed",
    "silent_cut",
    "dishonest_error",
    "done_on_truncated",
    "ends",
    "finish_differs",
)
"""What a stream may not be."""
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
    errands: dict[str, int] = field(default_factory=dict)
    """How many of each kind were accepted."""
    disks: dict[str, str] = field(default_factory=dict)
    """What was filled, by server."""
    restored: list[str] = field(default_factory=list)
    """What the bus had lost for good, and what was made anew."""
    loads: list[float] = field(default_factory=list)
    """The machine's load average after each fault: what is slow, is slow because of it too."""

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

    @property
    def broken(self) -> int:
        """Streams that were accepted and did not give their client the answer."""
        return self.count(*BROKEN) + len(self.failed)

    def figures(self) -> dict[str, object]:
        """For machines; times in seconds."""
        silences = self.recoveries
        return {
            "bus": self.bus,
            "seed": self.seed,
            "streams": self.streams,
            "faults": len(self.faults),
            "faults_by_kind": Counter(str(done.fault.kind) for done in self.faults),
            "disks": self.disks,
            "load_p50": percentile(sorted(self.loads), 50),
            "requests_accepted": len(self.accepted),
            "errands_accepted": self.errands,
            "lost": self.count(*LOST),
            "charged_twice": self.count(*TWICE),
            "streams_broken": self.broken,
            "violations": len(self.violations),
            "resumed": sum(bool(outcome.resumed) for outcome in self.accepted),
            "taken_over": sum(outcome.attempt > 1 for outcome in self.accepted),
            "recovery_p50": round(percentile(silences, 50), 1),
            "recovery_p99": round(percentile(silences, 99), 1),
        }

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
            f"  disks          {', '.join(f'{name}: {disk}' for name, disk in self.disks.items())}",
            f"  load average   p50 {percentile(sorted(self.loads), 50):.1f}, most {max(self.loads, default=0.0):.1f}",
            *([f"  made anew      {', '.join(self.restored)}"] if self.restored else []),
            f"  servers away   {', '.join(map(self._away, (BUS, POSTGRES)))}",
            f"  requests       {len(self.outcomes)}: {_shown(endings)}; {self.calls} calls of the engine",
            f"  refused        {_shown(refusals)}; charged nevertheless {self.refused_and_charged}",
            f"  accepted       {len(self.accepted)}, whole {sum(o.whole for o in self.accepted)}",
            f"  errands        {_shown(Counter(self.errands))}",
            f"  resumed        {len(resumed)} on {sum(resumed)} connections",
            f"  taken over     {sum(o.attempt > 1 for o in self.accepted)}",
            f"  errors         {len(self.failed)} {_shown(errors)}",
            f"  recovery       p50 {percentile(silences, 50):.1f} s, p99 {percentile(silences, 99):.1f} s, "
            f"longest {percentile(silences, 100):.1f} s of {len(silences)} clients that noticed",
            f"  lost           {self.count(*LOST)}",
            f"  charged twice  {self.count(*TWICE)}",
            f"  violations     {len(self.violations)} {_shown(Counter(v.kind for v in self.violations))}",
            *self.broken_promises()[:SHOWN],
        ]

    def broken_promises(self) -> list[str]:
        """All of them, one a line."""
        return [f"    {kind} {request_id}: {detail}" for kind, request_id, detail in self.violations]

    def _away(self, server: str) -> str:
        """How long a server was gone, each time that it was killed."""
        gone = (done for done in self.faults if (done.fault.kind, done.fault.target) == (Kind.RESTART, server))
        return f"{server} {' '.join(f'{done.ended - done.began:.1f}' for done in gone) or 0} s"


def table(results: Sequence[Result]) -> list[str]:
    """The figures as a table of Markdown."""
    rows = [(result.figures(), result) for result in results]
    return [
        "| bus, seed | faults | accepted | lost | charged twice | streams broken | recovery p50 / p99 |",
        "|---|---|---|---|---|---|---|",
        *(
            f"| {f['bus']} {f['seed']} | {f['faults']} | {len(r.accepted) + sum(r.errands.values()):,} | {f['lost']} "
            f"| {f['charged_twice']} | {f['streams_broken']} | {f['recovery_p50']} / {f['recovery_p99']} s |"
            for f, r in rows
        ),
    ]


def percentile(ascending: Sequence[float], percent: int) -> float:
    """The value below which so many per cent lie; 0 where there is none."""
    if not ascending:
        return 0.0
    return ascending[min(len(ascending) - 1, len(ascending) * percent // 100)]


def _shown(counts: "Counter[str]") -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
