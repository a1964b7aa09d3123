"""What lanes count."""

from prometheus_client import Counter, Gauge, Histogram

SLOTS = Gauge("penstock_lane_slots", "Requests that this process works on at once, by lane", ["lane"])
RUNNING = Gauge("penstock_lane_running", "Requests that have a slot now", ["lane"])
WAITING = Gauge("penstock_lane_waiting", "Requests that wait for a slot now", ["lane"])
REFUSED = Counter("penstock_lane_refused", "Requests refused or handed back as too many waited", ["lane"])
WAITED = Histogram(
    "penstock_lane_waited_seconds",
    "From a request's arrival to its slot, of those for which none was free",
    ["lane"],
    buckets=(0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300),
)
