"""One platform under load, and the books that are held against what was answered."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from measuring.platform import Platform
from measuring.processes import CpuMeter
from measuring.tools import BenchError, Load, Mock, load

DRAIN_S = 1.0
"""Counted after each load, so that work left behind (ledger, history, relay) is part of a request's cost."""

Measured = dict[str, Any]


@dataclass(frozen=True)
class Windows:
    """How long and how wide to measure."""

    load_s: int = 10
    idle_s: int = 5
    streams: int = 100
    stream_tokens: int = 200
    native_clients: int = 1000
    native_pause_s: int = 2
    """Between two requests of each of these clients."""
    ledger_events: int = 40_000


QUICK = Windows(load_s=2, idle_s=2, streams=20, stream_tokens=50, native_clients=100, ledger_events=5_000)


@dataclass
class Bench:
    """One platform and the engines behind it: `mock` at 0 ms, `mock-20ms` with that gap between tokens."""

    platform: Platform
    whole: Mock
    streaming: Mock
    windows: Windows
    scratch: Path
    """A folder for files between two loads."""
    bus_url: str | None = None
    sent: int = 0
    sent_tokens: int = 0
    asked_elsewhere: int = 0
    """Requests that the engine answered to others on our behalf."""
    direct: dict[str, Load] = field(default_factory=dict)
    models: set[str] = field(default_factory=set)

    def through(self, model: str, *options: str) -> Load:
        """Load the platform, and remember what its ledger must hold for it."""
        result = self.ask(model, *options)
        self.sent += result["requests"]
        self.sent_tokens += result["prompt_tokens"] + result["completion_tokens"]
        return result

    def ask(self, model: str, *options: str) -> Load:
        """Load the platform with requests that nobody is charged for."""
        return load(self.platform.base_url + "/v1", self.platform.api_key, model, *options)

    def straight(self, engine: Mock, *options: str) -> Load:
        """Load the mock engine itself, once for each set of options."""
        key = " ".join(options)
        if key not in self.direct:
            self.direct[key] = load(engine.url, "none", "mock", *options)
        return self.direct[key]

    def check(self) -> None:
        """Hold ledger and engines against what was sent; a difference is an error."""
        self.platform.check(self.sent, self.sent_tokens)
        served = self.whole.finished() + self.streaming.finished()
        asked = self.sent + self.asked_elsewhere + sum(result["requests"] for result in self.direct.values())
        if served != asked:
            raise BenchError(f"the engines answered {served} requests, but {asked} were asked")

    def add_model(self, name: str) -> None:
        """Serve one more model by the engine that answers at once, if that isn't done yet."""
        if name not in self.models:
            self.platform.add_model(name, self.whole.url)
            self.models.add(name)

    def measured(self, run: Callable[[], Load]) -> tuple[Load, Measured]:
        """Give the load's result, and the CPU that all processes of the platform used for it, in seconds."""
        ours = [self.whole.pid, self.streaming.pid, os.getpid()]
        meter = CpuMeter.start(self.platform.processes(), ours)
        begun = time.monotonic()
        result = run()
        time.sleep(DRAIN_S)
        used, others = meter.read()
        others_cores = others / (time.monotonic() - begun)
        self.check()
        return result, {"cpu_s": used, "others_cores": round(others_cores, 2)}


def shares(by_role: dict[str, float], scale: float) -> dict[str, float]:
    """Scale figures by role and put their total first."""
    total = {"total": round(sum(by_role.values()) * scale, 3)}
    return total | {role: round(value * scale, 3) for role, value in sorted(by_role.items())}
