"""What the audit tells Prometheus: its last look, and how the lanes stood then."""

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge

from penstock.auditing.report import Report
from penstock_common.messaging.inspection import BusState, LaneState

REGISTRY = CollectorRegistry()

MESSAGES = Gauge(
    "penstock_audit_messages",
    "Messages said to a consumer, by what became of them: published (all of them), done, dead, waiting, missing",
    ["consumer", "state"],
    registry=REGISTRY,
)
ODD = Gauge(
    "penstock_audit_odd_messages",
    "Messages that were handled and never said, or are there twice: unsaid, twice",
    ["state"],
    registry=REGISTRY,
)
UNPUBLISHED = Gauge(
    "penstock_audit_unpublished", "Messages that an outbox has had for a minute, and the bus not", registry=REGISTRY
)
SEEN = Gauge("penstock_audit_seen_timestamp_seconds", "When the last look was finished", registry=REGISTRY)
SECONDS = Gauge("penstock_audit_seconds", "How long the last look took", registry=REGISTRY)
FAILURES = Counter("penstock_audit_failures", "Looks that could not be finished", registry=REGISTRY)
WAITING = Gauge("penstock_bus_waiting", "Messages of a lane that nobody was given yet", ["consumer"], registry=REGISTRY)
STUCK = Gauge(
    "penstock_bus_stuck",
    "1 where a lane's messages waited and none was settled from one look to the next",
    ["consumer"],
    registry=REGISTRY,
)


def tell(report: Report, bus: BusState, before: Mapping[str, LaneState]) -> None:
    """Set all of them; `before` are the lanes at the look before."""
    for tally in report.tallies:
        for state in ("published", "done", "dead", "waiting", "missing"):
            MESSAGES.labels(tally.consumer, state).set(getattr(tally, state))
    ODD.labels("unsaid").set(len(report.unsaid))
    ODD.labels("twice").set(len(report.twice))
    UNPUBLISHED.set(report.unpublished)
    SEEN.set(report.at.timestamp())
    SECONDS.set(report.seconds)
    for name, lane in bus.lanes.items():
        WAITING.labels(name).set(lane.waiting)
        STUCK.labels(name).set(name in before and lane.is_stuck(before[name]))
