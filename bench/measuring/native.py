"""What needs no engine's answer, asked by many clients at a steady rhythm: keys, submissions, and their status."""

from measuring.bench import Bench, Measured
from measuring.tools import Load

PERCENTILES = ("p50", "p95", "p99")


def authentication(bench: Bench) -> Measured:
    """Measure requests that only a key decides about: right and wrong ones by turns."""
    return measured(bench, "authentication", bench.ask("mock", "-what", "key", *rhythm(bench)))


def submission(bench: Bench) -> Measured:
    """Measure `POST /api/v1/inference`; each submission is generated and charged before this returns."""
    ids = str(bench.scratch / "ids")
    result = bench.through("mock", "-what", "submit", "-ids", ids, *rhythm(bench))
    bench.check()
    return measured(bench, "submission", result)


def status(bench: Bench) -> Measured:
    """Measure `GET /api/v1/inference/{id}` of requests that have succeeded."""
    ids = str(bench.scratch / "ids")
    bench.through("mock", "-what", "submit", "-ids", ids, "-c", "10", "-n", "100")
    bench.check()
    return measured(bench, "status", bench.ask("mock", "-what", "status", "-ids", ids, *rhythm(bench)))


def rhythm(bench: Bench) -> tuple[str, ...]:
    """The load generator's options."""
    windows = bench.windows
    return "-c", str(windows.native_clients), "-every", f"{windows.native_pause_s}s", "-d", f"{windows.load_s}s"


def measured(bench: Bench, what: str, result: Load) -> Measured:
    """Its latencies; they include the load generator's own, on the same two cores."""
    return {
        "native": what,
        "clients_at_once": bench.windows.native_clients,
        "requests_per_s": round(result["requests_per_s"], 1),
        "latency_ms": {name: round(result["latency_ms"][name], 2) for name in PERCENTILES},
    }
