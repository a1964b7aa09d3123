"""The command line of `bench/streams`."""

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from holding.hold import Crowd, Held, hold
from holding.limits import Machine, check, raise_own
from holding.report import missed, table
from measuring.main import CORES, write
from measuring.platform import platform
from measuring.tools import BENCH, BenchError, build, interruptible, mock

MODEL = "mock"


def options(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        "bench/streams", description="Hold many streams at once on 2 cores: every text whole, every token charged once."
    )
    parser.add_argument("--streams", type=int, default=Crowd.streams)
    parser.add_argument("--hold", type=int, default=Crowd.hold_s, help="seconds with all of them open")
    parser.add_argument("--ramp", type=int, default=Crowd.ramp_s, help="seconds over which they are opened")
    parser.add_argument("--gap", type=int, default=Crowd.gap_ms, help="milliseconds between two tokens of a stream")
    parser.add_argument("--bus-url", help="a RabbitMQ that already runs here, amqp://…; NATS is the embedded one")
    parser.add_argument("--keep", type=Path, help="an empty folder for the platform's data and logs, which stay")
    parser.add_argument(
        "--command", type=Path, default=BENCH.parent / ".venv/bin/penstock", help="the penstock command"
    )
    parser.add_argument("up", nargs="*", help="options of `penstock up`, behind a --")
    parsed = parser.parse_args(arguments)
    if min(parsed.streams, parsed.hold, parsed.ramp, parsed.gap) < 1:
        parser.error("--streams, --hold, --ramp and --gap are at least 1")
    return parsed


def measure(chosen: argparse.Namespace, crowd: Crowd) -> Held:
    """Start a platform with a slot for each stream, hold the crowd, and stop it."""
    slots = {"PENSTOCK_INFERENCE_SLOTS": str(crowd.streams), "PENSTOCK_INFERENCE_RESERVED": "0"}
    with (
        mock(gap_ms=crowd.gap_ms) as engine,
        tempfile.TemporaryDirectory(prefix="penstock-streams-", ignore_cleanup_errors=True) as scratch,
        platform(chosen.command, chosen.keep or Path(scratch), chosen.bus_url, chosen.up, slots) as running,
    ):
        running.add_model(MODEL, engine.url)
        print(f"holding {crowd.streams} streams for {crowd.hold_s} s …", file=sys.stderr)
        return hold(running, engine, crowd, MODEL)


def main(arguments: Sequence[str]) -> int:
    """Hold the crowd: 0 when nothing was lost and the goal is met."""
    chosen = options(arguments)
    crowd = Crowd(chosen.streams, chosen.gap, chosen.ramp, chosen.hold)
    interruptible()
    try:
        check(crowd.streams, Machine.here())
        raise_own()
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
        build()
        held = measure(chosen, crowd)
    except BenchError as error:
        print(f"streams: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    write({"held": asdict(held)}, "streams-")
    print(table(held))
    return int(missed(held))
