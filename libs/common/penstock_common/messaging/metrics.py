"""What messaging counts."""

from prometheus_client import Counter, Gauge

DELIVERIES = Counter("penstock_deliveries", "Deliveries by how they ended", ["consumer", "outcome"])
PUBLISHED = Counter("penstock_outbox_published", "Outbox rows published", ["service"])
OUTBOX_LAG = Gauge("penstock_outbox_oldest_seconds", "Age of the oldest unpublished outbox row", ["service"])
RECONNECTS = Counter("penstock_bus_reconnects", "Times the bus connection came back", ["bus"])
