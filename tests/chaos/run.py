"""Live streams, faults by schedule, and the check of everything that was heard and booked.

Run as `python -m tests.chaos.run`; `make chaos` does it for half an hour on both buses.
"""

import argparse
import asyncio
import itertools
import random
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import msgspec

from tests.chaos.books import compared, counted, read_books, read_counts
from tests.chaos.checker import charged_though_refused, check_all, check_story
from tests.chaos.client import Conversation, Place, make_session
from tests.chaos.faults import Fault, Injector, schedule
from tests.chaos.history import Ending, Story
from tests.chaos.plans import Load
from tests.chaos.report import Result
from tests.chaos.stack import BUSES, MODULES, Stack, running

RAMP = 2.0  # seconds in which the first clients come
PATIENCE = 75.0  # seconds
SETTLE = 45.0  # seconds for what is still under way when the last client left
KEPT = 50  # stories of which something was wrong
say_at_once = partial(print, flush=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign:
    """What one run is to be."""

    bus: str
    seed: int
    seconds: float
    """From the first client to the last fault."""
    streams: int
    load: Load
    modules: Mapping[str, str] = field(default_factory=lambda: MODULES)
    """What runs as each service."""
    faults: Sequence[Fault] | None = None
    """Instead of those that the seed makes."""
    patience: float = PATIENCE
    """Seconds of silence, or of refusals, after which a client calls an accepted answer lost."""


@dataclass
class Crowd:
    """Clients that ask again and again, as many at once as there are streams."""

    campaign: Campaign
    place: Place
    result: Result
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    async def run(self) -> None:
        """Until the time is over and the last client has its answer."""
        await asyncio.gather(*(self._client(n) for n in range(self.campaign.streams)))

    async def _client(self, number: int) -> None:
        await asyncio.sleep(RAMP * number / self.campaign.streams)
        while self.place.now() < self.campaign.seconds:
            story = Story(plan=self.campaign.load.plan(next(self._numbers)))
            await Conversation(self.place, story).run()
            self._check(story)

    def _check(self, story: Story) -> None:
        outcome, violations = check_story(story)
        self.result.outcomes.append(outcome)
        self.result.violations += violations
        if (violations or outcome.ending is Ending.FAILED) and len(self.result.stories) < KEPT:
            self.result.stories[story.request_id or story.plan.order.key] = story


async def carry_out(campaign: Campaign, say: Callable[[str], None] = say_at_once) -> Result:
    """One run: what was done, what was heard, and every promise that was broken."""
    result = Result(campaign.bus, campaign.seed, campaign.streams)
    faults = schedule(campaign.seed, campaign.seconds) if campaign.faults is None else campaign.faults
    say("\n".join([f"schedule of seed {campaign.seed}:", *map(str, faults)]))
    async with running(campaign.bus, campaign.modules) as stack, make_session(campaign.patience) as session:
        began = time.monotonic()
        place = Place(
            session,
            [api.url for api in stack.apis],
            lambda: time.monotonic() - began,
            random.Random(f"clients {campaign.seed}"),
            campaign.patience,
        )
        injector = Injector(stack, faults, place.now)
        await asyncio.gather(Crowd(campaign, place, result).run(), injector.run())
        result.faults = injector.done
        say(f"the last client left after {place.now():.0f} s")
        await _hold_against_books(stack, result)
        if not result.passed:
            say(f"kept in {_keep(result, stack)}")
    return result


async def _hold_against_books(stack: Stack, result: Result) -> None:
    result.violations += await compared(stack.databases.audit, SETTLE)
    calls = await read_counts(stack.engine)
    result.calls = len(calls)
    books = await read_books(stack.databases.audit)
    result.violations += check_all(result.outcomes, books, counted(calls))
    result.refused_and_charged = charged_though_refused(result.outcomes, books)


def _keep(result: Result, stack: Stack) -> Path:
    """What is needed to find out why: the histories of what went wrong, and the logs."""
    folder = Path(tempfile.mkdtemp(prefix=f"chaos-{result.bus}-{result.seed}-"))
    for name, story in result.stories.items():
        (folder / f"{name}.json").write_bytes(msgspec.json.format(msgspec.json.encode(story)))
    for log in (*stack.home.glob("*.log"), stack.bus.log, stack.postgres.log):
        (folder / log.name).write_bytes(log.read_bytes())
    (folder / "report.txt").write_text("\n".join(result.lines()))
    return folder


def main() -> None:
    """Exit code 1 where a promise was broken."""
    parser = argparse.ArgumentParser(
        description="Kill and freeze everything under live streams, and check the history."
    )
    parser.add_argument("--bus", choices=[*BUSES, "both"], default="both")
    parser.add_argument("--seed", type=int, default=None, help="the same seed makes the same schedule and requests")
    parser.add_argument("--minutes", type=float, default=30.0, help="of faults, shared by the buses")
    parser.add_argument("--streams", type=int, default=200, help="live at once")
    given = parser.parse_args()
    seed = random.randrange(10_000) if given.seed is None else given.seed
    buses = list(BUSES) if given.bus == "both" else [given.bus]
    results = [
        asyncio.run(
            carry_out(
                Campaign(
                    bus=bus,
                    seed=seed,
                    seconds=60 * given.minutes / len(buses),
                    streams=given.streams,
                    load=Load(seed),
                )
            )
        )
        for bus in buses
    ]
    print("\n".join(line for result in results for line in result.lines()))
    sys.exit(not all(result.passed for result in results))


if __name__ == "__main__":
    main()
