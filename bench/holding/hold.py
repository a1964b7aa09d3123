"""Many streams, opened one after another, and held open all at once."""

import math
import os
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from measuring.platform import Platform
from measuring.processes import CpuMeter, Listed, pss_mb
from measuring.tools import BenchError, Load, Mock, load

SETTLE_S = 5.0
"""Between the last stream's begin and the first reading, and between the last reading and the first stream's end."""
READINGS = 3

Shares = Mapping[str, float]
"""A figure by role."""


@dataclass(frozen=True)
class Crowd:
    """How many streams, how fast each speaks, and for how long all of them are open at once."""

    streams: int = 10_000
    gap_ms: int = 1000
    ramp_s: int = 30
    hold_s: int = 60

    @property
    def tokens(self) -> int:
        """Tokens of each stream: so many that the first one still speaks when the last was held long enough."""
        return math.ceil((self.ramp_s + self.hold_s + 2 * SETTLE_S) * 1000 / self.gap_ms) + 2

    def options(self) -> tuple[str, ...]:
        """The load generator's."""
        seconds = self.tokens * self.gap_ms / 1000 + self.ramp_s
        shape = ("-c", str(self.streams), "-n", str(self.streams), "-stream", "-max-tokens", str(self.tokens))
        return (*shape, "-ramp", f"{self.ramp_s}s", "-timeout", f"{seconds + 120:.0f}s")


@dataclass(frozen=True)
class Held:
    """What was measured."""

    crowd: Crowd
    load: Load
    idle_mb: Shares
    held_mb: Shares
    """The most of some readings while all streams were open."""
    cores: Shares
    """CPU seconds a second while all streams were open."""
    others_cores: float

    @property
    def api_mb(self) -> float:
        """Memory of all api processes, in MB of proportional set size."""
        return self.held_mb["api"]

    def cost_us(self, cores: float) -> float:
        """CPU microseconds a token, or a gap where nothing is said, for so many cores."""
        return 1e6 * cores / (self.crowd.streams * 1000 / self.crowd.gap_ms)


def hold(platform: Platform, engine: Mock, crowd: Crowd, model: str) -> Held:
    """Open the crowd's streams and read CPU and memory while all are open.

    Raises BenchError where one answer was not whole, was asked of the engine twice, was not charged exactly,
    or where not all streams were open for as long as asked.
    """
    listed = platform.processes()
    idle_mb = pss_mb(listed)
    with asking(platform, model, *crowd.options()) as asked:
        pause(asked, crowd.ramp_s + SETTLE_S)
        meter, begun = CpuMeter.start(listed, [engine.pid, os.getpid()]), time.monotonic()
        readings = list(memory(asked, listed, crowd.hold_s))
        used, others = meter.read()
        seconds = time.monotonic() - begun
        result = asked.result()
    check(platform, engine, crowd, result)
    cores = {role: value / seconds for role, value in used.items()}
    return Held(crowd, result, idle_mb, most(readings), cores, others / seconds)


@contextmanager
def asking(platform: Platform, model: str, *options: str) -> Iterator["Future[Load]"]:
    """Load the platform beside the block. One that fails doesn't wait for the streams: they end with the platform."""
    pool = ThreadPoolExecutor(1)
    try:
        yield pool.submit(load, platform.base_url + "/v1", platform.api_key, model, *options)
    finally:
        pool.shutdown(wait=False)


def memory(asked: "Future[Load]", listed: Listed, seconds: float) -> Iterator[Shares]:
    """Read the memory a few times, the last time `seconds` from now."""
    for _ in range(READINGS):
        pause(asked, seconds / READINGS)
        yield pss_mb(listed)


def pause(asked: "Future[Load]", seconds: float) -> None:
    """Let the streams run; where the load ends too early, its error is raised."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if asked.done():
            asked.result()
            raise BenchError("the streams ended before all of them were open")
        time.sleep(0.1)


def most(readings: list[Shares]) -> Shares:
    """The reading with the largest sum."""
    return max(readings, key=lambda shares: sum(shares.values()))


def check(platform: Platform, engine: Mock, crowd: Crowd, result: Load) -> None:
    """Hold the crowd's answers against time, engine and ledger."""
    if result["requests"] != crowd.streams:
        raise BenchError(f"{result['requests']} of {crowd.streams} streams were answered")
    if result["all_open_s"] < crowd.hold_s:
        raise BenchError(f"all streams were open for {result['all_open_s']:.0f} s, not for {crowd.hold_s} s")
    if (begun := engine.begun()) != crowd.streams:
        raise BenchError(f"the engine was asked {begun} times for {crowd.streams} streams")
    platform.check(crowd.streams, result["prompt_tokens"] + result["completion_tokens"])
