"""Figures carry their goals, and a missed one cannot be overlooked."""

from measuring.report import table
from measuring.scenarios import Measured


def run(cpu_ms: float = 2.5, added_ms: float = 7.0, cpu_us: float = 100.0, pss: float = 500.0) -> dict[str, Measured]:
    """Give one bus's measurements; the four with goals can be set."""

    def load(clients: int) -> Measured:
        return {
            "clients": clients,
            "requests_per_s": 400.0,
            "added_ms": {"p50": added_ms, "p95": 20.0, "p99": 30.0},
            "cpu_ms_per_request": {"total": cpu_ms, "api": cpu_ms * 0.6, "postgres": cpu_ms * 0.4},
            "others_cores": 0.0,
        }

    streams = {
        "streams": 100,
        "tokens_per_s": 4600,
        "share_of_direct": 0.97,
        "added_first_token_ms": 40.0,
        "cpu_us_per_token": {"total": cpu_us, "inference": cpu_us},
        "others_cores": 0.5,
    }
    idle = {"pss_mb": {"total": pss, "api": pss}, "cpu_percent": {"total": 2.0}, "others_cores": 0.0}
    return {"idle": idle, "64": load(64), "1": load(1), "streams": streams, "idle-after": idle}


def test_goals_that_are_met_are_said_to_be() -> None:
    """Nothing is marked when every figure is within its goal."""
    printed = table({"nats": run()})
    assert "MISSED" not in printed
    assert "every goal that was measured is met" in printed
    assert printed.count("≤") == 4


def test_each_missed_goal_is_marked_with_where_it_goes() -> None:
    """Each of the four goals, once beyond, is marked in the table and explained below it."""
    printed = table({"nats": run(cpu_ms=3.5, added_ms=8.5, cpu_us=151, pss=601)})
    assert "MISSED CPU a request, ms, 64 clients, nats: 3.5 > 3; most of it: api 2.1, postgres 1.4" in printed
    assert "MISSED added latency p50, ms, 1 client, nats: 8.5 > 8" in printed
    assert "MISSED CPU a streamed token, µs, 100 streams, nats: 151 > 150; most of it: inference 151" in printed
    assert "MISSED memory (PSS), MB, idle, nats: 601 > 600; most of it: api 601" in printed
    assert printed.count("MISSED") == 8


def test_both_buses_stand_side_by_side() -> None:
    """One row carries the figure of each bus, each judged by itself."""
    printed = table({"nats": run(), "rabbitmq": run(cpu_ms=4.0)})
    row = next(line for line in printed.splitlines() if line.startswith("CPU a request, ms, 64"))
    assert row.split()[-4:] == ["3", "2.5", "4", "MISSED"]


def test_foreign_load_is_named() -> None:
    """A reader learns which figures were taken on a busy machine."""
    assert "streams: other programs used 0.5 cores" in table({"nats": run()})
