"""Which engine runs a model."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from penstock_common.clock import Clock
from penstock_common.tracing.spans import Tracing
from penstock_inference.adapters.engines.compatible import CompatibleEngine
from penstock_inference.adapters.engines.http.client import EngineHttp
from penstock_inference.adapters.engines.minilm.embedder import FOR_DOCUMENTS, FOR_PEOPLE, Embedder
from penstock_inference.adapters.engines.minilm.engine import LocalEngine
from penstock_inference.adapters.engines.sim.engine import SimulatedEngine
from penstock_inference.adapters.engines.sim.record import Record
from penstock_inference.adapters.engines.times import EngineTimes
from penstock_inference.adapters.engines.traced import TracedEngine
from penstock_inference.adapters.secrets import Secrets
from penstock_inference.domain.catalogue import LOCAL, Model
from penstock_inference.domain.tokens import tokenizer
from penstock_inference.generating.timers import Timers
from penstock_inference.ports import Engine


@dataclass(frozen=True)
class EngineRegistry:
    """The engines of one process, each made at its first use, inside of the running loop."""

    sim_folder: Path
    secrets: Secrets
    clock: Clock
    times: EngineTimes = field(default_factory=EngineTimes)
    timers: Timers = field(default_factory=Timers)

    def for_model(self, model: Model) -> Engine:
        """The engine that runs a model."""
        engine = self._engine(model)
        return engine if Tracing.tracer is None else TracedEngine(engine)

    def _engine(self, model: Model) -> Engine:
        if model.engine == LOCAL:
            return self._local
        return self._simulated if model.simulated else self._compatible

    def warm(self) -> None:
        """Load the tokenizer: 20 ms that no request has to wait for."""
        tokenizer()

    async def close(self) -> None:
        """Release the engines that were used."""
        for name in ("_simulated", "_compatible", "_local"):
            if name in self.__dict__:
                await self.__dict__[name].close()

    @cached_property
    def _simulated(self) -> SimulatedEngine:
        return SimulatedEngine(Record(self.sim_folder), self.clock)

    @cached_property
    def _local(self) -> LocalEngine:
        return LocalEngine(Embedder(FOR_PEOPLE), Embedder(FOR_DOCUMENTS))

    @cached_property
    def _compatible(self) -> CompatibleEngine:
        return CompatibleEngine(EngineHttp(self.times, self.timers), self.secrets, self.clock, self.times)
