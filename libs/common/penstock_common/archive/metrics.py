"""What the archive counts."""

from prometheus_client import Counter, Gauge

NEWEST = Gauge("penstock_archive_newest_seconds", "Age of the newest archived event, when last looked", ["service"])
WAITING = Gauge(
    "penstock_archive_waiting_seconds", "Age of the oldest event that is due and not archived yet, else 0", ["service"]
)
EVENTS = Counter("penstock_archive_events", "Events archived", ["service"])
BYTES = Counter("penstock_archive_bytes", "Bytes written to the archive, compressed", ["service"])
FAILURES = Counter("penstock_archive_failures", "Turns of the archive that failed and are tried again", ["service"])
DAMAGED = Counter("penstock_archive_damaged", "Damaged parts found when days were read back", ["service"])
DROPPED = Counter("penstock_partitions_dropped", "Days of outbox and inbox dropped", ["service"])
