"""Rounds: each contestant in turn, under the same load from the same generator against the same engines."""

import os
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from measuring.processes import CpuMeter, pss_mb
from measuring.tools import BenchError, Load, Mock, load
from racing.contestant import STREAMING, WHOLE, Contestant

CLIENTS = (1, 16, 64)
PERCENTILES = ("p50", "p95", "p99")
Figures = dict[str, float]
"""What one load of one contestant gave, by name."""


@dataclass(frozen=True)
class Shape:
    """How long and how wide."""

    rounds: int = 3
    load_s: int = 5
    streams: int = 100
    stream_tokens: int = 200
    drain_s: float = 1.0
    """Counted after each load, so that work left behind is part of a request's cost."""

    @property
    def streamed(self) -> tuple[str, ...]:
        """The load generator's options for the streams."""
        width = str(self.streams)
        return "-c", width, "-n", width, "-stream", "-max-tokens", str(self.stream_tokens)


QUICK = Shape(rounds=1, load_s=2, streams=10, stream_tokens=50)


@dataclass
class Course:
    """The engines, who runs on them, and what was asked of the engines directly."""

    whole: Mock
    streaming: Mock
    contestants: Sequence[Contestant]
    shape: Shape
    asked_directly: int = 0

    def direct(self, engine: Mock, *options: str) -> Load:
        """Load an engine without any gateway."""
        result = load(engine.url, "none", "mock", *options)
        self.asked_directly += result["requests"]
        return result

    def check(self) -> None:
        """Hold what the engines answered against what was asked; a difference is an error."""
        asked = self.asked_directly + sum(contestant.sent for contestant in self.contestants)
        served = self.whole.finished() + self.streaming.finished()
        if served != asked:
            raise BenchError(f"the engines answered {served} requests, but {asked} were asked")

    def bystanders(self, contestant: Contestant) -> list[int]:
        """The processes that belong to the race, but not to this contestant."""
        resting = [other.processes() for other in self.contestants if other is not contestant]
        pids = [pid for listed in resting for role in listed.values() for pid in role]
        return [self.whole.pid, self.streaming.pid, os.getpid(), *pids]


def race(course: Course) -> Iterator[tuple[str, Figures]]:
    """Run all rounds; gives the figures of each load under `<contestant>`, those of the bare engine under `engine`."""
    for number in range(course.shape.rounds):
        alone = course.direct(course.whole, "-c", "1", "-d", "2s")
        flow = course.direct(course.streaming, *course.shape.streamed)
        yield "engine", of_engine(alone, flow)
        turn = number % len(course.contestants)  # nobody is always first
        for contestant in (*course.contestants[turn:], *course.contestants[:turn]):
            for clients in CLIENTS:
                yield contestant.name, unstreamed(course, contestant, clients, alone)
            yield contestant.name, streamed(course, contestant, flow)
    course.check()


def of_engine(alone: Load, flow: Load) -> Figures:
    """The engine's own rates."""
    return {
        "p50 ms": alone["latency_ms"]["p50"],
        "tokens/s": flow["tokens_per_s"],
        "first token ms": flow["first_token_ms"]["p50"],
    }


def unstreamed(course: Course, contestant: Contestant, clients: int, alone: Load) -> Figures:
    """Measure whole answers; latency is what was added to the bare engine's own, asked by one client."""
    contestant.load(WHOLE, "-c", str(clients), "-d", "1s")
    options = (WHOLE, "-c", str(clients), "-d", f"{course.shape.load_s}s")
    result, cpu_s, others = metered(course, contestant, *options)
    at = f"{clients} clients"
    added = {f"{at} added {p} ms": result["latency_ms"][p] - alone["latency_ms"][p] for p in PERCENTILES}
    return {
        f"{at} CPU ms": 1e3 * cpu_s / result["requests"],
        **added,
        f"{at} requests/s": result["requests_per_s"],
        f"{at} others' cores": others,
    }


def streamed(course: Course, contestant: Contestant, flow: Load) -> Figures:
    """Measure many streams at once."""
    contestant.load(STREAMING, "-c", "10", "-n", "10", "-stream", "-max-tokens", "20")
    result, cpu_s, others = metered(course, contestant, STREAMING, *course.shape.streamed)
    return {
        "token CPU µs": 1e6 * cpu_s / result["completion_tokens"],
        "tokens/s": result["tokens_per_s"],
        "added first token ms": result["first_token_ms"]["p50"] - flow["first_token_ms"]["p50"],
        "streams others' cores": others,
    }


def metered(course: Course, contestant: Contestant, *options: str) -> tuple[Load, float, float]:
    """A load's result, the CPU seconds that the contestant used for it, and the cores that strangers used meanwhile."""
    meter = CpuMeter.start(contestant.processes(), course.bystanders(contestant))
    begun = time.monotonic()
    result = contestant.load(*options)
    time.sleep(course.shape.drain_s)
    used, others = meter.read()
    return result, sum(used.values()), others / (time.monotonic() - begun)


def memory(contestant: Contestant, when: str) -> Figures:
    """The contestant's memory now, in MB of proportional set size."""
    return {f"memory {when} MB": sum(pss_mb(contestant.processes()).values())}


def medians(measured: Sequence[tuple[str, Figures]]) -> dict[str, Figures]:
    """The median of each figure over the rounds, by contestant."""
    values: dict[str, dict[str, list[float]]] = {}
    for name, figures in measured:
        for figure, value in figures.items():
            values.setdefault(name, {}).setdefault(figure, []).append(value)
    return {name: _medians(figures) for name, figures in values.items()}


def _medians(figures: Mapping[str, Sequence[float]]) -> Figures:
    return {figure: round(statistics.median(found), 3) for figure, found in figures.items()}
