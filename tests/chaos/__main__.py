"""`make chaos`: half an hour on both buses, or what the options say."""

import argparse
import asyncio
import json
import random
import signal
import sys
from pathlib import Path

from tests.chaos.plans import Load
from tests.chaos.report import Result, table
from tests.chaos.run import Campaign, carry_out
from tests.chaos.stack import BUSES

BOTH = ("nats", "rabbitmq")


def main() -> None:
    """Exit code 1 where a promise was broken."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that disks are unmounted
    given = _arguments()
    seed = random.randrange(10_000) if given.seed is None else given.seed
    buses = {"both": BOTH, "all": tuple(BUSES)}.get(given.bus, (given.bus,))
    results = []
    for bus in buses:
        campaign = Campaign(
            bus=bus,
            seed=seed,
            seconds=60 * given.minutes / len(buses),
            streams=given.streams,
            load=Load(seed, tuple(given.answers), tuple(given.pace)),
        )
        results.append(asyncio.run(carry_out(campaign)))
        print("\n".join(results[-1].lines()), flush=True)
    _tell(results, given.json)
    sys.exit(not all(result.passed for result in results))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make chaos", description="Break everything under live streams and errands, and check the history."
    )
    parser.add_argument("--bus", choices=[*BUSES, "both", "all"], default="both")
    parser.add_argument("--seed", type=int, default=None, help="the same seed makes the same schedule and requests")
    parser.add_argument("--minutes", type=float, default=30.0, help="of faults, shared by the buses")
    parser.add_argument("--streams", type=int, default=200, help="live at once")
    parser.add_argument(
        "--answers", type=float, nargs=2, default=(8.0, 25.0), help="seconds that they take, from and to"
    )
    parser.add_argument("--pace", type=float, nargs=2, default=(2.0, 6.0), help="tokens a second")
    parser.add_argument("--json", type=Path, default=None, help="a file for the figures")
    return parser.parse_args()


def _tell(results: list[Result], file: Path | None) -> None:
    """The figures, as a table for people, and in a file for machines."""
    print("\n".join(table(results)))
    if file:
        file.write_text(json.dumps([result.figures() for result in results], indent=2) + "\n")


if __name__ == "__main__":
    main()
