"""What is measured: unstreamed load at a few widths, many streams at once, and an idle platform."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from measuring.platform import Platform
from measuring.processes import CpuMeter, pss_mb
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


QUICK = Windows(load_s=2, idle_s=2, streams=20, stream_tokens=50)


@dataclass
class Bench:
    """One platform and the engines behind it: `mock` at 0 ms, `mock-20ms` with that gap between tokens."""

    platform: Platform
    whole: Mock
    streaming: Mock
    windows: Windows
    sent: int = 0
    sent_tokens: int = 0
    direct: dict[str, Load] = field(default_factory=dict)

    def through(self, model: str, *options: str) -> Load:
        """Load the platform, and remember what its ledger must hold for it."""
        result = load(self.platform.base_url + "/v1", self.platform.api_key, model, *options)
        self.sent += result["requests"]
        self.sent_tokens += result["prompt_tokens"] + result["completion_tokens"]
        return result

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
        asked = self.sent + sum(result["requests"] for result in self.direct.values())
        if served != asked:
            raise BenchError(f"the engines answered {served} requests, but {asked} were asked")

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


def unstreamed(bench: Bench, clients: int) -> Measured:
    """Measure requests that are answered whole; latency is added to the mock's own, asked by one client."""
    window = ("-d", f"{bench.windows.load_s}s")
    direct = bench.straight(bench.whole, "-c", "1", *window)
    bench.through("mock", "-c", str(clients), "-d", "1s")
    result, cpu = bench.measured(lambda: bench.through("mock", "-c", str(clients), *window))
    return {
        "clients": clients,
        "requests": result["requests"],
        "requests_per_s": round(result["requests_per_s"], 1),
        "added_ms": {p: round(result["latency_ms"][p] - direct["latency_ms"][p], 2) for p in ("p50", "p95", "p99")},
        "direct_ms": direct["latency_ms"],
        "cpu_ms_per_request": _shares(cpu["cpu_s"], 1e3 / result["requests"]),
        "others_cores": cpu["others_cores"],
    }


def streamed(bench: Bench) -> Measured:
    """Measure many streams at once, one token each 20 ms."""
    shape = (str(bench.windows.streams), "-stream", "-max-tokens", str(bench.windows.stream_tokens))
    once = ("-c", *shape, "-n", shape[0])
    direct = bench.straight(bench.streaming, *once)
    bench.through("mock-20ms", "-c", "10", "-n", "10", "-stream", "-max-tokens", "20")
    result, cpu = bench.measured(lambda: bench.through("mock-20ms", *once))
    return {
        "streams": bench.windows.streams,
        "tokens": result["completion_tokens"],
        "tokens_per_s": round(result["tokens_per_s"]),
        "share_of_direct": round(result["tokens_per_s"] / direct["tokens_per_s"], 3),
        "added_first_token_ms": round(result["first_token_ms"]["p50"] - direct["first_token_ms"]["p50"], 1),
        "cpu_us_per_token": _shares(cpu["cpu_s"], 1e6 / result["completion_tokens"]),
        "others_cores": cpu["others_cores"],
    }


def idle(bench: Bench) -> Measured:
    """Measure memory, and the CPU of doing nothing."""
    listed = bench.platform.processes()
    time.sleep(1)  # what the question itself set going
    meter = CpuMeter.start(listed, [os.getpid()])
    time.sleep(bench.windows.idle_s)
    used, others = meter.read()
    return {
        "pss_mb": _shares(pss_mb(listed), 1.0),
        "cpu_percent": _shares(used, 100 / bench.windows.idle_s),
        "others_cores": round(others / bench.windows.idle_s, 2),
    }


def _shares(by_role: dict[str, float], scale: float) -> dict[str, float]:
    """Scale figures by role and put their total first."""
    total = {"total": round(sum(by_role.values()) * scale, 3)}
    return total | {role: round(value * scale, 3) for role, value in sorted(by_role.items())}
