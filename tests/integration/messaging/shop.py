"""A small topology of its own, whose messages say how their handler behaves."""

from penstock_common.contracts.base import Contract
from penstock_common.messaging.topology import (
    DEAD_LETTERS,
    QUARANTINE,
    Batch,
    Consumer,
    Kind,
    Runner,
    Stream,
    Topic,
    Topology,
)


class Order(Contract, frozen=True):
    """`do` is `ok`, `unavailable`, `invalid`, `bug`, `kill`, `sleep:s`, `block:s`, `handback:n` or `fail:n`."""

    id: str
    do: str = "ok"


class Placed(Order, frozen=True):
    """Handled one by one, by FastStream."""


class Paid(Order, frozen=True):
    """Handled one by one, by the plain runner."""


class Packed(Order, frozen=True):
    """Handled in batches."""


class Shipped(Order, frozen=True):
    """Handled in order, by the plain runner."""


class Returned(Order, frozen=True):
    """Handled in order, by FastStream."""


class Scrapped(Order, frozen=True):
    """Handled in order, and given one chance."""


class Refund(Order, frozen=True):
    """A command whose owner is told when it is buried; `invalid:kill` kills the first who is told."""


class Find(Order, frozen=True):
    """A query."""


class Said(Order, frozen=True):
    """A broadcast."""


def topic(contract: type[Order], kind: Kind = Kind.EVENT) -> Topic:
    """A contract's topic."""
    name = contract.__name__.lower()
    subject = {
        Kind.COMMAND: f"cmd.shop.order.{name}.v1",
        Kind.QUERY: f"qry.shop.order.{name}.v1",
    }.get(kind, f"shop.order.{name}.v1")
    return Topic(subject, contract, "shop", kind, "SHOP" if kind in (Kind.EVENT, Kind.COMMAND) else "")


QUICK = (0.2, 0.6)
PLACED, PAID, PACKED = topic(Placed), topic(Paid), topic(Packed)
SHIPPED, RETURNED, SCRAPPED = topic(Shipped), topic(Returned), topic(Scrapped)
REFUND, FIND, SAID = topic(Refund, Kind.COMMAND), topic(Find, Kind.QUERY), topic(Said, Kind.BROADCAST)

ON_PLACED = Consumer("shop", "on_placed", PLACED, max_attempts=3, backoff=QUICK)
ON_PAID = Consumer("shop", "on_paid", PAID, max_attempts=3, backoff=QUICK, runner=Runner.PLAIN)
ON_PACKED = Consumer(
    "shop", "on_packed", PACKED, max_attempts=3, backoff=QUICK, runner=Runner.PLAIN, batch=Batch(16, within_ms=50)
)
ON_SHIPPED = Consumer("shop", "on_shipped", SHIPPED, backoff=QUICK, ordered=True, concurrency=1, runner=Runner.PLAIN)
ON_RETURNED = Consumer("shop", "on_returned", RETURNED, backoff=QUICK, ordered=True, concurrency=1)
ON_SCRAPPED = Consumer(
    "shop", "on_scrapped", SCRAPPED, max_attempts=1, ordered=True, concurrency=1, runner=Runner.PLAIN
)
REFUNDING = Consumer("shop", "refund", REFUND, max_attempts=2, backoff=QUICK, runner=Runner.PLAIN, has_on_dead=True)

SHOP = Topology(
    streams=(Stream("SHOP", max_age=86_400, max_bytes=1 << 28), QUARANTINE, DEAD_LETTERS),
    topics=(PLACED, PAID, PACKED, SHIPPED, RETURNED, SCRAPPED, REFUND, FIND, SAID),
    consumers=(ON_PLACED, ON_PAID, ON_PACKED, ON_SHIPPED, ON_RETURNED, ON_SCRAPPED, REFUNDING),
)
