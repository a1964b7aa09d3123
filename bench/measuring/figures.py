"""From measurements to figures with goals."""

from collections.abc import Iterator
from dataclasses import dataclass

from measuring.scenarios import Measured


@dataclass(frozen=True)
class Figure:
    """One printed number; a goal is the most that it may be."""

    name: str
    value: float
    goal: float | None = None
    parts: str = ""

    @property
    def missed(self) -> bool:
        """Tell whether the figure is beyond its goal."""
        return self.goal is not None and self.value > self.goal


def figures(results: dict[str, Measured]) -> Iterator[Figure]:
    """Give the figures of one bus's run in the order in which they are printed."""
    for key, measured in results.items():
        if "clients" in measured:
            yield from _unstreamed(measured)
        elif "streams" in measured:
            yield from _streamed(measured)
        else:
            yield from _idle(measured, after_load=key == "idle-after")


def _unstreamed(m: Measured) -> Iterator[Figure]:
    n = m["clients"]
    at = f"{n} client{'s' if n > 1 else ''}"
    yield _total(f"CPU a request, ms, {at}", m["cpu_ms_per_request"], 3.0 if n == 64 else None)
    for percentile, value in m["added_ms"].items():
        goal = 8.0 if (percentile, n) == ("p50", 1) else None
        yield Figure(f"added latency {percentile}, ms, {at}", value, goal)
    yield Figure(f"requests a second, {at}", m["requests_per_s"])


def _streamed(m: Measured) -> Iterator[Figure]:
    at = f"{m['streams']} streams"
    yield _total(f"CPU a streamed token, µs, {at}", m["cpu_us_per_token"], 150.0)
    yield Figure(f"added time to first token p50, ms, {at}", m["added_first_token_ms"])
    yield Figure(f"tokens a second, {at}", m["tokens_per_s"])
    yield Figure(f"share of the mock's own rate, {at}", m["share_of_direct"])


def _idle(m: Measured, after_load: bool) -> Iterator[Figure]:
    when = "idle after load" if after_load else "idle"
    yield _total(f"memory (PSS), MB, {when}", m["pss_mb"], None if after_load else 600.0)
    yield _total(f"CPU, % of a core, {when}", m["cpu_percent"], None)


def _total(name: str, shares: dict[str, float], goal: float | None) -> Figure:
    parts = sorted(((v, role) for role, v in shares.items() if role != "total"), reverse=True)
    return Figure(name, shares["total"], goal, ", ".join(f"{role} {value:.3g}" for value, role in parts if value))
