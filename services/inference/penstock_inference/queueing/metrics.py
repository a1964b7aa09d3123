"""What is counted of the queue."""

from prometheus_client import Counter, Gauge, Histogram

WAITING = Gauge("penstock_queue_waiting", "Requests that wait in the queue of all processes")
RUNNING = Gauge("penstock_queue_running", "Queued requests whose turn it is, of all processes")
QUEUED = Counter(
    "penstock_queue_requests",
    "Queued requests by what became of them here: queued, dispatched, expired, stopped, full",
    ["outcome"],
)
WAITED = Histogram(
    "penstock_queue_waited_seconds",
    "From the acceptance of a queued request until its turn",
    buckets=(0.1, 0.5, 1, 5, 10, 30, 60, 300, 900, 3600, 14_400, 86_400),
)
