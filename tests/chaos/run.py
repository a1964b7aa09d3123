"""Live streams and errands, faults by schedule, and the check of everything that was heard and booked."""

import asyncio
import itertools
import random
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import msgspec

from tests.chaos.books import compared, counted, read_books, read_counts
from tests.chaos.checker import Violation, charged_though_refused, check_all, check_story
from tests.chaos.client import Conversation, Place, make_session
from tests.chaos.equipment import MODULES
from tests.chaos.errand_checks import check_errands, is_under_way
from tests.chaos.errand_reading import read_answers, read_ends
from tests.chaos.errands import Errands
from tests.chaos.faults import Fault, schedule
from tests.chaos.history import Ending, Story
from tests.chaos.injector import Injector
from tests.chaos.plans import Load
from tests.chaos.receiver import Receiver
from tests.chaos.report import Result
from tests.chaos.stack import Stack, running

RAMP = 2.0  # seconds in which the first clients come
PATIENCE = 75.0  # seconds
SETTLE = 45.0  # seconds for what is still under way when the last client left
ERRANDS = 90.0  # the same for errands: whoever posts a webhook is followed by another process after 30
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
    errands: bool = True
    """Whether there are also requests answered later, runs, schedules and documents."""

    @property
    def command(self) -> str:
        """What repeats it: the same schedule and the same requests."""
        load = self.load
        said = f"--bus {self.bus} --seed {self.seed} --minutes {self.seconds / 60:.4g} --streams {self.streams}"
        lengths = f"--answers {load.seconds[0]:g} {load.seconds[1]:g} --pace {load.pace[0]:g} {load.pace[1]:g}"
        return f'make chaos ARGS="{said} {lengths}"'


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
    faults = schedule(campaign.seed, campaign.seconds, campaign.bus) if campaign.faults is None else campaign.faults
    say("\n".join([f"schedule of seed {campaign.seed} on {campaign.bus}:", *map(str, faults)]))
    async with (
        running(campaign.bus, campaign.seed, campaign.modules) as stack,
        make_session(campaign.patience) as session,
        Receiver().listening() as receiver,
    ):
        result.disks = {name: host.disk.name for name, host in stack.hosts.items()}
        began = time.monotonic()
        place = Place(
            session,
            [api.url for api in stack.apis],
            lambda: time.monotonic() - began,
            random.Random(f"clients {campaign.seed}"),
            campaign.patience,
        )
        errands = Errands(place, campaign.seed, receiver)
        injector = Injector(stack, faults, place.now)
        if campaign.errands:
            await errands.prepare()
            began = time.monotonic()
        try:
            load = [
                Crowd(campaign, place, result).run(),
                *([errands.run(campaign.seconds)] if campaign.errands else []),
            ]
            await asyncio.gather(injector.run(), *load)
            say(f"the last client left after {place.now():.0f} s")
            await _hold_against_books(stack, result, errands if campaign.errands else None)
        finally:
            result.faults, result.loads, result.errands = injector.done, injector.loads, errands.counts()
            result.restored = stack.restored
            if not result.passed:
                say(f"kept in {_keep(result, stack)}; again: {campaign.command}")
    return result


async def _hold_against_books(stack: Stack, result: Result, errands: Errands | None) -> None:
    audit = stack.databases.audit
    if errands:
        result.violations += await _hold_errands(errands, audit)
    result.violations += await compared(audit, SETTLE)
    calls = await read_counts(stack.engine)
    result.calls = len(calls)
    books = await read_books(audit)
    result.violations += check_all(result.outcomes, books, counted(calls))
    result.refused_and_charged = charged_though_refused(result.outcomes, books)


async def _hold_errands(errands: Errands, audit: str) -> list[Violation]:
    """Once nothing is under way any more, or nobody would wait any longer."""
    accepted, heard, end = errands.accepted, errands.receiver, time.monotonic() + ERRANDS
    while is_under_way(accepted, heard, ends := await read_ends(audit)) and time.monotonic() < end:
        await asyncio.sleep(1.0)
    refused = [Violation("errand_refused", "", wrong) for wrong in errands.wrong]
    return refused + check_errands(accepted, heard, ends, await read_answers(errands))


def _keep(result: Result, stack: Stack) -> Path:
    """What is needed to find out why: the histories of what went wrong, and the logs."""
    folder = Path(tempfile.mkdtemp(prefix=f"chaos-{result.bus}-{result.seed}-"))
    for name, story in result.stories.items():
        (folder / f"{name}.json").write_bytes(msgspec.json.format(msgspec.json.encode(story)))
    for log in stack.logs:
        (folder / log.name).write_bytes(log.read_bytes())
    (folder / "report.txt").write_text("\n".join([*result.lines(), "", "all violations:", *result.broken_promises()]))
    return folder
