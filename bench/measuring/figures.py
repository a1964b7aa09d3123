"""From measurements to figures with goals."""

from collections.abc import Iterator
from dataclasses import dataclass

from measuring.bench import Measured


@dataclass(frozen=True)
class Figure:
    """One printed number; a goal is the most that it may be, or the least where it is a `floor`."""

    name: str
    value: float
    goal: float | None = None
    parts: str = ""
    floor: bool = False

    @property
    def missed(self) -> bool:
        """Tell whether the figure is beyond its goal."""
        if self.goal is None:
            return False
        return self.value < self.goal if self.floor else self.value > self.goal


def figures(results: dict[str, Measured]) -> Iterator[Figure]:
    """Give the figures of one bus's run in the order in which they are printed."""
    for key, measured in results.items():
        if "clients" in measured:
            yield from _unstreamed(key, measured)
        elif "streams" in measured:
            yield from _streamed(key, measured)
        elif "native" in measured:
            yield from _native(measured)
        elif "events" in measured:
            yield from _ledger(measured)
        elif "layers" in measured:
            yield from _layers(measured)
        else:
            yield from _idle(measured, after_load=key == "idle-after")
    yield from _ratio(results)


def _unstreamed(key: str, m: Measured) -> Iterator[Figure]:
    n = m["clients"]
    plain = key == str(n)
    at = f"{n} client{'s' if n > 1 else ''}" + ("" if plain else f", {key}")
    yield _total(f"CPU a request, ms, {at}", m["cpu_ms_per_request"], {64: 1.0, 1: 3.0}.get(n) if plain else None)
    for percentile, value in m["added_ms"].items():
        goal = {"p50": 4.0, "p99": 12.0}.get(percentile) if key == "1" else None
        yield Figure(f"added latency {percentile}, ms, {at}", value, goal)
    yield Figure(f"requests a second, {at}", m["requests_per_s"])


def _streamed(key: str, m: Measured) -> Iterator[Figure]:
    plain = key == "streams"
    at = f"{m['streams']} streams" + ("" if plain else f", {key}")
    yield _total(f"CPU a streamed token, µs, {at}", m["cpu_us_per_token"], 90.0 if plain else None)
    yield Figure(f"added time to first token p50, ms, {at}", m["added_first_token_ms"], 100.0 if plain else None)
    yield Figure(f"tokens a second, {at}", m["tokens_per_s"])
    yield Figure(f"share of the mock's own rate, {at}", m["share_of_direct"], 0.97 if plain else None, floor=True)


def _native(m: Measured) -> Iterator[Figure]:
    what, at = m["native"], f"{m['clients_at_once']} clients"
    goals = {"authentication": 50.0, "submission": 100.0, "status": 50.0}
    for percentile, value in m["latency_ms"].items():
        yield Figure(f"{what} {percentile}, ms, {at}", value, goals[what] if percentile == "p95" else None)
    yield Figure(f"{what}, requests a second", m["requests_per_s"])


def _ledger(m: Measured) -> Iterator[Figure]:
    yield Figure("usage events a second into the ledger", m["events_per_s"], 7_000.0, floor=True)
    yield _total("CPU a usage event with PostgreSQL, µs", m["cpu_us_per_event"], 150.0)


def _layers(m: Measured) -> Iterator[Figure]:
    for layer, value in m["layers"].items():
        yield Figure(f"cost of {layer}, ms a request", value)


def _idle(m: Measured, after_load: bool) -> Iterator[Figure]:
    when = "idle after load" if after_load else "idle"
    yield _total(f"memory (PSS), MB, {when}", m["pss_mb"], None if after_load else 900.0)
    yield _total(f"CPU, % of a core, {when}", m["cpu_percent"], None)


def _ratio(results: dict[str, Measured]) -> Iterator[Figure]:
    """CPU a request at ten times the clients: what grows faster than the load shows here."""
    if "64" in results and "640" in results:
        usual, tenfold = (results[key]["cpu_ms_per_request"]["total"] for key in ("64", "640"))
        yield Figure("CPU a request at ten times the load, ratio", round(tenfold / usual, 2), 1.2)


def _total(name: str, shares: dict[str, float], goal: float | None) -> Figure:
    parts = sorted(((v, role) for role, v in shares.items() if role != "total"), reverse=True)
    return Figure(name, shares["total"], goal, ", ".join(f"{role} {value:.3g}" for value, role in parts if value))
