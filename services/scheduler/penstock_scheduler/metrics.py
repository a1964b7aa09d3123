"""What the scheduler counts."""

from prometheus_client import Counter, Histogram

TICKS = Counter("penstock_scheduler_ticks", "Ticks by what became of them: fired, dropped, put_off", ["outcome"])
LATENESS = Histogram(
    "penstock_scheduler_lateness_seconds",
    "From the moment that a tick was due to its transaction",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 600, 3600),
)
