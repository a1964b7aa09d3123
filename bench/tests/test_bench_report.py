"""Figures carry their goals, and a missed one cannot be overlooked."""

from measuring.bench import Measured
from measuring.report import table


def run(
    cpu_ms: float = 0.9, added_ms: float = 3.9, cpu_us: float = 89.0, pss: float = 700.0, share: float = 0.98
) -> dict[str, Measured]:
    """Give one bus's measurements; those with goals can be set."""

    def load(clients: int) -> Measured:
        return {
            "clients": clients,
            "requests_per_s": 400.0,
            "added_ms": {"p50": added_ms, "p95": 8.0, "p99": 3 * added_ms},
            "cpu_ms_per_request": {"total": cpu_ms, "api": cpu_ms * 0.6, "postgres": cpu_ms * 0.4},
            "others_cores": 0.0,
        }

    streams = {
        "streams": 100,
        "tokens_per_s": 4600,
        "share_of_direct": share,
        "added_first_token_ms": 40.0,
        "cpu_us_per_token": {"total": cpu_us, "inference": cpu_us},
        "others_cores": 0.5,
    }
    idle = {"pss_mb": {"total": pss, "api": pss}, "cpu_percent": {"total": 2.0}, "others_cores": 0.0}
    shaped = {"64 KiB prompts": load(16), "16 deployments": load(64)}
    return {"idle": idle, "64": load(64), "1": load(1), **shaped, "streams": streams, "idle-after": idle}


def native(p95: float) -> dict[str, Measured]:
    """What needs no engine, and the ledger."""
    latency = {"p50": 1.0, "p95": p95, "p99": 99.0}
    kinds = ("authentication", "submission", "status")
    asked = {
        kind: {"native": kind, "clients_at_once": 1000, "requests_per_s": 500.0, "latency_ms": latency}
        for kind in kinds
    }
    events = {
        "events": 9,
        "events_per_s": 7100 if p95 < 50 else 6900,
        "cpu_us_per_event": {"total": p95, "billing": p95},
    }
    return {**asked, "ledger": events}


def test_goals_that_are_met_are_said_to_be() -> None:
    """Nothing is marked when every figure is within its goal."""
    printed = table({"nats": run() | native(49)})
    assert "MISSED" not in printed
    assert "every goal that was measured is met" in printed
    assert printed.count("≤") == 11
    assert printed.count("≥") == 2


def test_each_missed_goal_is_marked_with_where_it_goes() -> None:
    """Each goal, once beyond, is marked in the table and explained below it."""
    printed = table({"nats": run(cpu_ms=1.1, added_ms=4.5, cpu_us=91, pss=901, share=0.96)})
    assert "MISSED CPU a request, ms, 64 clients, nats: 1.1 > 1; most of it: api 0.66, postgres 0.44" in printed
    assert "MISSED added latency p50, ms, 1 client, nats: 4.5 > 4" in printed
    assert "MISSED added latency p99, ms, 1 client, nats: 13.5 > 12" in printed
    assert "MISSED CPU a streamed token, µs, 100 streams, nats: 91 > 90; most of it: inference 91" in printed
    assert "MISSED memory (PSS), MB, idle, nats: 901 > 900; most of it: api 901" in printed
    assert "MISSED share of the mock's own rate, 100 streams, nats: 0.96 < 0.97" in printed
    assert printed.count("MISSED") == 12


def test_submissions_may_take_longer_than_keys_and_status() -> None:
    """Authentication and status stay under 50 ms, submission under 100 ms, each at p95; the ledger has two goals."""
    printed = table({"nats": native(151)})
    missed = [line.partition(",")[0] for line in printed.splitlines() if line.startswith("MISSED")]
    assert missed == [
        "MISSED authentication p95",
        "MISSED submission p95",
        "MISSED status p95",
        "MISSED usage events a second into the ledger",
        "MISSED CPU a usage event with PostgreSQL",
    ]
    assert table({"nats": native(99)}).count("MISSED") == 6


def test_other_shapes_of_load_have_no_goals() -> None:
    """Long prompts and many deployments are shown beside the plain load, and not judged by its goals."""
    printed = table({"nats": run(cpu_ms=0.9)})
    (prompts,) = (line for line in printed.splitlines() if line.startswith("CPU a request, ms, 16 clients, 64 KiB"))
    (models,) = (line for line in printed.splitlines() if line.startswith("CPU a request, ms, 64 clients, 16 dep"))
    assert "≤" not in prompts + models


def test_ten_times_the_load_is_a_ratio() -> None:
    """What a request costs at 640 clients is compared with 64."""
    crowd = run(cpu_ms=1.0)["64"] | {"clients": 640}
    crowd["cpu_ms_per_request"] = {"total": 1.21}
    printed = table({"nats": run(cpu_ms=1.0) | {"640": crowd}})
    assert "MISSED CPU a request at ten times the load, ratio, nats: 1.21 > 1.2" in printed


def test_both_buses_stand_side_by_side() -> None:
    """One row carries the figure of each bus; the second bus may cost twice what the first one did."""
    printed = table({"nats": run(cpu_ms=0.9) | {"layers": {"layers": {"ledger": 0.3}}}, "rabbitmq": run(cpu_ms=1.9)})
    row = next(line for line in printed.splitlines() if line.startswith("CPU a request, ms, 64"))
    assert row.split()[-4:] == ["1", "0.9", "1.9", "MISSED"]
    assert "MISSED CPU a request, ms, 64 clients, rabbitmq: 1.9 > 1.8" in printed
    assert "MISSED" not in table({"nats": run(cpu_ms=0.9), "rabbitmq": run(cpu_ms=1.7, share=0.6)})
    (layer,) = (line for line in printed.splitlines() if line.startswith("cost of ledger"))
    assert layer.split()[-1] == "0.3"


def test_the_other_bus_alone_is_judged_by_twice_the_goals() -> None:
    """Without a NATS run beside it."""
    assert "MISSED" not in table({"rabbitmq": run(cpu_ms=1.9)})
    assert "rabbitmq: 2.1 > 2" in table({"rabbitmq": run(cpu_ms=2.1)})


def test_foreign_load_is_named() -> None:
    """A reader learns which figures were taken on a busy machine."""
    assert "streams: other programs used 0.5 cores" in table({"nats": run()})
