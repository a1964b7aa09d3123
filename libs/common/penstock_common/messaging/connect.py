"""Picks the adapter by URL; only the one in use is imported."""

import asyncio
import time
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

from penstock_common.errors import BusUnavailable
from penstock_common.messaging.inspection import Inspector
from penstock_common.messaging.ports import Bus, TopologyJob
from penstock_common.messaging.rebuilding import Restored, TopologyKeeper
from penstock_common.messaging.topology import Topology
from penstock_common.topology import PLATFORM

NATS = ("nats", "tls")
RABBITMQ = ("amqp", "amqps")
REPLICAS = ("1", "3", "5")
"""Copies of a stream that a majority can be told of."""
PATIENCE = 30.0  # seconds
PAUSE = 0.25


def make_bus(url: str, name: str) -> Bus:
    """The bus behind `nats://`, `tls://`, `amqp://` or `amqps://`, not yet connected. Raises ValueError."""
    if _scheme(url) in NATS:
        from penstock_common.messaging.nats.bus import NatsBus  # noqa: PLC0415

        return NatsBus(url, name)
    from penstock_common.messaging.rabbit.bus import RabbitBus  # noqa: PLC0415

    return RabbitBus(url, name, {row.topic.subject for row in PLATFORM.consumers})


def make_topology_job(url: str) -> TopologyJob:
    """The topology job of the bus behind a URL; `?replicas=3` has a NATS cluster keep each stream so often.

    Raises ValueError.
    """
    if _scheme(url) in NATS:
        from penstock_common.messaging.nats.topology import NatsTopology  # noqa: PLC0415

        return NatsTopology(url, _replicas(url))
    from penstock_common.messaging.rabbit.topology import RabbitTopology  # noqa: PLC0415

    return RabbitTopology(url)


def make_inspector(url: str) -> Inspector:
    """Who looks at the bus behind a URL. Raises ValueError."""
    if _scheme(url) in NATS:
        from penstock_common.messaging.nats.inspection import NatsInspector  # noqa: PLC0415

        return NatsInspector(url)
    from penstock_common.messaging.rabbit.inspection import RabbitInspector  # noqa: PLC0415

    return RabbitInspector(url)


async def connect_bus(url: str, name: str, patience: float = PATIENCE) -> Bus:
    """A connected bus; waits up to `patience` seconds for a server that is starting. Raises BusUnavailable."""
    bus, deadline = make_bus(url, name), time.monotonic() + patience
    while True:
        try:
            await bus.connect()
            return bus
        except BusUnavailable:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(PAUSE)


async def apply_topology(url: str, topology: Topology = PLATFORM, *, tell: bool = True) -> list[str]:
    """Make the bus match the topology; one line per thing created or changed. Raises TopologyRefused.

    With `tell` the services publish their outboxes again where something was made anew.
    """
    return await make_topology_job(url).apply(topology, tell=tell)


async def keep_topology(
    url: str, restored: Restored, refused: Callable[[str], None], topology: Topology = PLATFORM
) -> None:
    """Apply the topology again whenever something of it is missing, until cancelled; both are told, once each time."""
    await TopologyKeeper(make_topology_job(url), topology, restored, refused).run()


async def diff_topology(url: str, topology: Topology = PLATFORM) -> list[str]:
    """What `apply_topology` would do, without doing it."""
    return await make_topology_job(url).diff(topology)


def _replicas(url: str) -> int:
    """The copies of each stream that a bus URL asks for, 1 where it says nothing. Raises ValueError."""
    said = parse_qs(urlsplit(url).query).get("replicas", ["1"])[-1]
    if said not in REPLICAS:
        raise ValueError(f"`replicas` of a bus URL is {', '.join(REPLICAS)}, not {said!r}")
    return int(said)


def _scheme(url: str) -> str:
    scheme = urlsplit(url).scheme
    if scheme not in NATS + RABBITMQ:
        raise ValueError(f"a bus URL begins with nats:// or amqp://, not {scheme!r}")
    return scheme
