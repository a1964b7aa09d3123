"""The command line of `bench/race`."""

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from measuring.main import CORES
from measuring.platform import Platform
from measuring.platform import platform as penstock
from measuring.tools import BENCH, BenchError, Mock, build, mock
from racing.contestant import STREAMING, WHOLE, Contestant
from racing.litellm import install, litellm
from racing.rounds import QUICK, Course, Figures, Shape, medians, memory, race
from racing.table import Conditions, go_version, machine, markdown, parts, place


def options(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser("bench/race", description="Race Penstock against LiteLLM over the mock engine.")
    parser.add_argument("--rounds", type=int, default=Shape.rounds, help="each contestant's turns")
    parser.add_argument(
        "--workers", type=int, nargs="+", default=[1, 2], help="LiteLLM's: one contestant for each number"
    )
    parser.add_argument("--quick", action="store_true", help="one short round, kept out of the README: that it works")
    parser.add_argument("--json", action="store_true", help="standard output carries JSON, the table goes to stderr")
    parser.add_argument("--readme", type=Path, default=BENCH.parent / "README.md", help="where the table is put")
    parser.add_argument(
        "--command", type=Path, default=BENCH.parent / ".venv/bin/penstock", help="the penstock command"
    )
    parsed = parser.parse_args(arguments)
    if min(parsed.rounds, *parsed.workers) < 1:
        parser.error("--rounds and --workers are at least 1")
    return parsed


def run(command: Path, shape: Shape, workers: Sequence[int]) -> dict[str, Figures]:
    """Start everybody, race, check the books; gives the median figures by contestant."""
    with ExitStack() as stack:
        whole, streaming = (stack.enter_context(mock(gap_ms=gap)) for gap in (0, 20))
        folder = tempfile.TemporaryDirectory(prefix="penstock-race-", ignore_cleanup_errors=True)
        home = Path(stack.enter_context(folder))
        running = stack.enter_context(penstock(command, home, None))
        contestants = [ours(running, whole, streaming)]
        engines = {WHOLE: whole.url, STREAMING: streaming.url}
        contestants += [stack.enter_context(litellm(home, engines, number)) for number in workers]
        measured = list(raced(Course(whole, streaming, contestants, shape)))
        running.check(contestants[0].sent, contestants[0].sent_tokens)
        return medians(measured)


def ours(running: Platform, whole: Mock, streaming: Mock) -> Contestant:
    """The platform as a contestant."""
    running.add_model(WHOLE, whole.url)
    running.add_model(STREAMING, streaming.url)
    number = version("penstock")
    return Contestant(f"Penstock {number}", f"{running.base_url}/v1", running.api_key, running.processes, number)


def raced(course: Course) -> Iterator[tuple[str, Figures]]:
    """The rounds, with everybody's memory before and after them."""
    yield from ((contestant.name, memory(contestant, "idle")) for contestant in course.contestants)
    for name, figures in race(course):
        print(f"{name}: {', '.join(f'{key} {value:.4g}' for key, value in figures.items())}", file=sys.stderr)
        yield name, figures
    yield from ((contestant.name, memory(contestant, "after")) for contestant in course.contestants)


def conditions(shape: Shape) -> Conditions:
    """Those of now."""
    kernel = platform.release().partition("-")[0]
    versions = (f"Python {platform.python_version()}", go_version(), f"Linux {kernel}")
    return Conditions(datetime.now(UTC).strftime("%Y-%m-%d"), shape, CORES, machine(), versions)


@contextmanager
def told() -> Iterator[None]:
    """End with a sentence where the race can't be run or trusted, and quietly where it was broken off."""
    try:
        yield
    except BenchError as error:
        sys.exit(f"race: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


def main(arguments: Sequence[str]) -> int:
    """Run the race, and put its table into the README unless it was a quick one."""
    chosen = options(arguments)
    shape = QUICK if chosen.quick else Shape(rounds=chosen.rounds)
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    with told():
        if not chosen.quick:
            parts(chosen.readme)  # before minutes are spent
        build()
        install()
        found = run(chosen.command, shape, chosen.workers)
    table = markdown(found, conditions(shape))
    write(found, table)
    print(table, file=sys.stderr if chosen.json else sys.stdout)
    if chosen.json:
        print(json.dumps(found))
    if not chosen.quick:
        place(chosen.readme, table)
    return 0


def write(found: dict[str, Figures], table: str) -> None:
    """Keep a race under bench/results, named by its time."""
    folder = BENCH / "results"
    folder.mkdir(exist_ok=True)
    at = datetime.now(UTC)
    document = {"at": at.isoformat(timespec="seconds"), "medians": found, "table": table}
    (folder / at.strftime("race-%Y-%m-%dT%H%M%SZ.json")).write_text(json.dumps(document, indent=2))
