"""The command line of `bench/run`."""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from measuring.bench import QUICK, Bench, Measured, Windows
from measuring.layers import layers
from measuring.ledger import measure as measure_ledger
from measuring.native import authentication, status, submission
from measuring.platform import platform
from measuring.report import table
from measuring.scenarios import deployments, idle, prompts, streamed, unstreamed
from measuring.tools import BENCH, BenchError, build, interruptible, mock

CORES = 2


SCENARIOS: dict[str, Callable[[Bench], Measured]] = {
    "idle": idle,
    "64": partial(unstreamed, clients=64),
    "640": partial(unstreamed, clients=640),
    "16": partial(unstreamed, clients=16),
    "1": partial(unstreamed, clients=1),
    "64 KiB prompts": prompts,
    "16 deployments": deployments,
    "streams": streamed,
    "tool calls": partial(streamed, options=("-tools",)),
    "authentication": authentication,
    "submission": submission,
    "status": status,
    "idle-after": idle,
    "layers": layers,
}
"""What is measured on a running platform."""
LEDGER = "ledger"
NAMES = [*SCENARIOS, LEDGER]
NATS_ONLY = {"layers"}


def options(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line; contradictions end with a sentence."""
    parser = argparse.ArgumentParser("bench/run", description="Measure the platform over the mock engine, on 2 cores.")
    parser.add_argument("--bus", choices=["nats", "rabbitmq", "both"], default="nats")
    parser.add_argument("--bus-url", help="a RabbitMQ that already runs, amqp://…; NATS is the embedded one")
    parser.add_argument("--quick", action="store_true", help="short windows: that it works, not how well")
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES, metavar="WHAT", help=", ".join(NAMES))
    parser.add_argument("--json", action="store_true", help="standard output carries JSON, the table goes to stderr")
    parser.add_argument(
        "--command", type=Path, default=BENCH.parent / ".venv/bin/penstock", help="the penstock command"
    )
    parsed = parser.parse_args(arguments)
    if parsed.bus != "nats" and not (parsed.bus_url or "").startswith("amqp"):
        parser.error("RabbitMQ is measured on a server of yours: --bus-url amqp://user:password@host:port")
    return parsed


def measure(chosen: argparse.Namespace, bus_url: str | None) -> Iterator[tuple[str, Measured]]:
    """The chosen scenarios, each as soon as it was measured: those of a platform, then billing alone."""
    windows = QUICK if chosen.quick else Windows()
    names = [name for name in chosen.only if name != LEDGER and not (bus_url and name in NATS_ONLY)]
    if names:
        yield from measure_platform(chosen.command, windows, names, bus_url)
    if LEDGER in chosen.only:  # with no platform on the bus, whose billing would take its share of the events
        print(f"measuring {LEDGER} …", file=sys.stderr)
        yield LEDGER, measure_ledger(windows.ledger_events, bus_url)


def measure_platform(
    command: Path, windows: Windows, names: Sequence[str], bus_url: str | None
) -> Iterator[tuple[str, Measured]]:
    """Start one platform, run scenarios on it, and stop it."""
    with (
        mock(gap_ms=0) as whole,
        mock(gap_ms=20) as streaming,
        tempfile.TemporaryDirectory(prefix="penstock-bench-", ignore_cleanup_errors=True) as data,
        platform(command, Path(data), bus_url) as running,
    ):
        running.add_model("mock", whole.url)
        running.add_model("mock-20ms", streaming.url)
        bench = Bench(running, whole, streaming, windows, Path(data), bus_url)
        for name in names:
            print(f"measuring {name} …", file=sys.stderr)
            yield name, SCENARIOS[name](bench)


def write(document: dict[str, object], kind: str = "") -> None:
    """Keep a run under bench/results, named by its kind and time."""
    folder = BENCH / "results"
    folder.mkdir(exist_ok=True)
    name = kind + datetime.now(UTC).strftime("%Y-%m-%dT%H%M%SZ.json")
    (folder / name).write_text(json.dumps(document, indent=2))


def main(arguments: Sequence[str]) -> int:
    """Run the bench: 0 when it could be trusted, missed goals included; 1 when it could not."""
    chosen = options(arguments)
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    interruptible()
    buses = ["nats", "rabbitmq"] if chosen.bus == "both" else [chosen.bus]
    results: dict[str, dict[str, Measured]] = {bus: {} for bus in buses}
    try:
        build()
        for bus, measured in results.items():
            for name, figures in measure(chosen, chosen.bus_url if bus == "rabbitmq" else None):
                measured[name] = figures
    except BenchError as error:
        print(f"bench: {error}; until then it was measured: {json.dumps(results)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    document = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "quick": chosen.quick,
        "buses": results,
    }
    write(document)
    print(table(results), file=sys.stderr if chosen.json else sys.stdout)
    if chosen.json:
        print(json.dumps(document))
    return 0
