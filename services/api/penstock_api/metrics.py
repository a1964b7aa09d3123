"""What the chat route counts."""

from functools import cache

from prometheus_client import Counter, Gauge, Histogram

NO_MODEL = "-"
"""Label of requests that named no model of the catalogue: clients don't choose label values."""

REQUESTS = Counter("penstock_chat_requests", "Chat completion requests by HTTP status", ["model", "status"])
FAILED_STREAMS = Counter("penstock_chat_streams_failed", "Streams that ended in an error after they began", ["model"])
FIRST_CHUNK = Histogram(
    "penstock_chat_first_chunk_seconds",
    "From the request to the first part of its answer",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
OPEN = Gauge("penstock_chat_open", "Requests that wait for an answer or are being answered")
RESUMED = Counter("penstock_streams_resumed", "Streams that were taken up again by how that went", ["outcome"])
SLOW_READERS = Counter("penstock_slow_readers_dropped", "Clients whose connection was cut as they read too slowly")
REQUEST_ROWS_DROPPED = Counter(
    "penstock_request_rows_dropped", "Rows of api.requests given up while the database was away"
)
HOOK_DELIVERIES = Counter(
    "penstock_hook_deliveries",
    "Deliveries to webhooks by what became of them: taken, repeated, refused, invalid",
    ["outcome"],
)
SUBMISSIONS = Counter(
    "penstock_submissions", "Requests to be answered later, by outcome: accepted, repeated, full", ["outcome"]
)
COMPLETIONS = Counter(
    "penstock_completions_told", "Ends that a webhook was to hear of: told, or removed as the webhook was", ["outcome"]
)
CALLBACKS = Counter(
    "penstock_callbacks_posted",
    "Ends posted to URLs of clients, by what came of it: delivered, repeated later, gone, given_up",
    ["outcome"],
)
DEAD_LETTERS = Gauge(
    "penstock_dead_letters_unacknowledged",
    "Messages that could not be handled, which nobody has looked at",
    ["consumer"],
)
HTTP_REQUESTS = Counter("penstock_http_requests", "Requests by how they were answered", ["method", "route", "status"])
HTTP_SECONDS = Histogram(
    "penstock_http_request_seconds",
    "From a request's head to the end of its answer, streams included",
    ["route"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
)

# The children of the hot paths: `labels` makes and compares strings under a lock each time.
requests_of = cache(REQUESTS.labels)
http_requests_of = cache(HTTP_REQUESTS.labels)
http_seconds_of = cache(HTTP_SECONDS.labels)
