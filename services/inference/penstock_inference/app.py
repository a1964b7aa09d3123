"""Inference put together: the only place where its parts are made."""

from typing import Any

from starlette.applications import Starlette

from penstock_common.clock import SystemClock
from penstock_common.foundation import Foundation
from penstock_common.ids import uuid7
from penstock_common.messaging.runtime import Runtime
from penstock_common.messaging.topology import Topology
from penstock_common.ops import ops_routes
from penstock_common.sealing import LocalKeyring, Sealer
from penstock_common.topology import PLATFORM
from penstock_inference.adapters.catalogue import Catalogue
from penstock_inference.adapters.end_writer import EndWriter
from penstock_inference.adapters.engines.registry import EngineRegistry
from penstock_inference.adapters.generations import Cancellations, Generations
from penstock_inference.adapters.hearing import Hearing
from penstock_inference.adapters.listeners import BusListeners
from penstock_inference.adapters.local.answering import DiscoveryAnswers
from penstock_inference.adapters.local.watch import LocalEngines
from penstock_inference.adapters.queue import QueueStops, QueueTable
from penstock_inference.adapters.queue_answers import QueueAnswers
from penstock_inference.adapters.secrets import Secrets
from penstock_inference.adapters.tokenizer import Estimator
from penstock_inference.admission.admission import Admission
from penstock_inference.domain.queue import Limits
from penstock_inference.generating.generator import Generator
from penstock_inference.generating.lease import Lease, lease_seconds
from penstock_inference.generating.leaving import Leaving
from penstock_inference.generating.registry import Registry
from penstock_inference.generating.run import RunPorts
from penstock_inference.generating.timers import Timers
from penstock_inference.queueing import dispatcher as queueing
from penstock_inference.settings import Settings
from penstock_inference.subscribers import Deps, router


class App:
    """One inference process."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.started = settings, False
        clock, process = SystemClock(), f"inference-{uuid7().hex}"
        self.foundation = Foundation("inference", settings)
        self.bus, self.database = self.foundation.bus, self.foundation.database
        sealer = Sealer(LocalKeyring(settings.keyring.path))
        self.writer = EndWriter(self.database)
        places, secrets = settings.places(), Secrets(settings.secrets.path, sealer)
        watched = frozenset(place.url for place in places)
        self.catalogue = Catalogue(
            self.database, self.bus, settings.models_file, discover=settings.discover, watched=watched
        )
        self.local = LocalEngines(self.catalogue, places, settings.look.interval)
        self.discovery = DiscoveryAnswers(self.bus, self.local, secrets, enabled=settings.discover)
        timers = Timers()
        self.engines = EngineRegistry(settings.sim.path, secrets, clock, timers=timers)
        ack_wait = PLATFORM.consumer("inference", "generate_text").ack_wait
        self.lease = Lease(self.bus, clock, lease_seconds(ack_wait, self.bus.settler.heartbeat))
        records = Generations(self.database, self.writer, sealer)
        listeners = BusListeners(self.bus, process)
        self.registry = Registry(process)
        self.leaving = Leaving(self.registry, listeners, clock, lambda: self.bus.connected)
        bounds = Limits(settings.queue.tenant, settings.queue.total, settings.enterprise_weight)
        self.waiting = QueueAnswers(self.bus, self.database, clock, bounds)
        self.hearing = Hearing(self.bus, records, listeners, self.leaving, self.waiting.find)
        generator = Generator(
            process=process,
            engines=self.engines,
            models=self.catalogue,
            records=records,
            listeners=listeners,
            tokenizer=Estimator(),
            registry=self.registry,
            sealer=sealer,
            shared=RunPorts(listeners, records, self.lease, clock, timers=timers),
            clock=clock,
            is_gone=self.leaving.is_gone,
        )
        self.interactive = Admission(
            "interactive", settings.interactive(), generator, enterprise_weight=settings.enterprise_weight
        )
        self.embeddings = Admission(
            "embeddings", settings.embeddings(), generator, enterprise_weight=settings.enterprise_weight
        )
        queue = QueueTable(self.database, clock, bounds)
        dispatching = queueing.Needs(queue, records, generator, clock, settings.queue.slots)
        self.dispatcher = queueing.Dispatcher(dispatching)
        stops = QueueStops(Cancellations())
        lanes = self.interactive, self.embeddings
        deps = Deps(self.database, generator, *lanes, stops, self.catalogue, queue, self.dispatcher.wake)
        topology = held_by(PLATFORM, generate_text=self.interactive, embed_texts=self.embeddings)
        topology = topology.resized("inference", "batch_text", settings.queue.slots)
        self.runtime = Runtime(self.bus, topology, router, deps)
        self.asgi: Any = Starlette(routes=ops_routes(self.checks))

    async def connect(self) -> None:
        """Reach the bus and the schema; may be repeated."""
        await self.foundation.connect()

    async def start(self) -> None:
        """Hear, relay and receive."""
        self.writer.start()
        await self.foundation.start()
        await self.catalogue.start()
        self.local.start()
        await self.discovery.start()
        self.engines.warm()
        self.lease.start()
        self.registry.start()
        await self.hearing.start()
        await self.waiting.start()
        self.leaving.start()
        self.interactive.start()
        self.embeddings.start()
        await self.runtime.start()
        self.dispatcher.start()
        self.started = True

    async def stop(self, grace: float | None = None) -> None:
        """Receive no more, end or hand back what runs, publish what it said, disconnect."""
        await self.dispatcher.stop()
        self.interactive.close()
        self.embeddings.close()
        await self.runtime.stop(self.settings.stop_grace if grace is None else grace)
        await self.interactive.stop()
        await self.embeddings.stop()
        await self.waiting.stop()
        await self.leaving.stop()
        await self.hearing.stop()
        await self.registry.close()
        self.lease.stop()
        await self.discovery.stop()
        await self.local.stop()
        await self.catalogue.stop()
        await self.engines.close()
        await self.writer.stop()
        await self.foundation.stop()

    async def checks(self) -> dict[str, bool]:
        """Whether each dependency answers now."""
        return {"started": self.started, "bus": self.bus.connected, "database": not self.writer.stalled}


def held_by(topology: Topology, **lanes: Admission) -> Topology:
    """The topology for a process that receives by each handler as much as its lane holds."""
    for handler, lane in lanes.items():
        topology = topology.resized("inference", handler, lane.held)
    return topology


def build(settings: Settings) -> App:
    """A process from its settings."""
    return App(settings)
