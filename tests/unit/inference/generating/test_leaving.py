"""Api processes that died with their clients: ten seconds to come back, then the engine call ends."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from penstock_common.contracts.generation import ApiLives, Measure, OnDisconnect
from penstock_inference.generating.leaving import AGAIN_SECONDS, DEAD_SECONDS, KNOWN, Leaving, Lives
from penstock_inference.generating.run import Run
from penstock_inference.ports import EngineEvent, TextDelta
from tests.support.generation_fakes import API, OTHER_API, MovedClock
from tests.unit.inference.generating.conftest import World, until

SAID: list[EngineEvent] = [TextDelta(0, "content", "Hello")]
SIGN_SECONDS = 2.0


class Watched:
    """A process that looks after its runs, by the time that a test lets pass."""

    def __init__(self, world: World) -> None:
        self.world, self.connected = world, True
        self.leaving = Leaving(world.registry, world.audience, world.clock, lambda: self.connected)

    async def pass_(self, seconds: float, *alive: str) -> None:
        """Let time pass, in which these processes show signs of life."""
        for _ in range(round(seconds / SIGN_SECONDS)):
            self.world.clock.ahead += SIGN_SECONDS
            for process in alive:
                await self.leaving.on_lives(ApiLives(process=process))
            await self.leaving.look()
            await asyncio.sleep(0)

    @asynccontextmanager
    async def running(self, **given: Any) -> AsyncIterator[Run]:
        """A run that has said something, and goes on until it is stopped."""
        self.world.engine.script = [SAID, 60.0]
        command = self.world.command(left=600.0, **given)
        task = self.world.begin(command)
        await until(lambda: self.world.audience.text() == "Hello")
        await self.leaving.on_lives(ApiLives(process=API))
        yield self.world.registry.runs[command.request_id]
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def ended(self) -> None:
        """Wait until an engine call is over."""
        await until(lambda: self.world.engine.ended == 1 and bool(self.world.records.ends))


@pytest.fixture
async def watched(world: World) -> AsyncIterator[Watched]:
    """A process whose leases outlast the test."""
    world.lease.seconds = 3600.0
    watched = Watched(world)
    yield watched
    await watched.leaving.stop()


async def test_run_of_a_dead_process_is_stopped_and_metered(watched: Watched) -> None:
    """Nobody came back: what was generated is charged as partial, and the row says why."""
    async with watched.running():
        await watched.pass_(DEAD_SECONDS, OTHER_API)
        await watched.ended()
    [end] = watched.world.records.ends
    assert (end.outcome.value, end.tokens.measure) == ("cancelled", Measure.PARTIAL)
    assert end.decisions[-1].reason == "client_left"


async def test_clients_have_ten_seconds_to_come_back(watched: Watched) -> None:
    """Counted from the process's death, which may be two seconds after its last sign of life."""
    async with watched.running():
        await watched.pass_(10.0, OTHER_API)
        await asyncio.sleep(0.05)
        assert (watched.world.audience.asked, watched.world.engine.ended) == ([], 0)


async def test_living_process_keeps_its_runs(watched: Watched) -> None:
    """However long they take."""
    async with watched.running():
        await watched.pass_(60.0, API)
        assert (watched.world.audience.asked, watched.world.engine.ended) == ([], 0)


async def test_run_asked_to_continue_goes_on_without_listeners(watched: Watched) -> None:
    """Nothing is sent to the dead any more."""
    async with watched.running(on_disconnect=OnDisconnect.CONTINUE) as run:
        await watched.pass_(60.0, OTHER_API)
        assert (len(run.listeners), watched.world.engine.ended) == (0, 0)
        assert watched.world.audience.asked == []


async def test_another_listener_keeps_the_run_and_the_dead_one_is_dropped(watched: Watched) -> None:
    """The client resumed elsewhere."""
    async with watched.running() as run:
        await watched.leaving.on_lives(ApiLives(process=OTHER_API))
        run.attach(OTHER_API, {})
        await watched.pass_(60.0, OTHER_API)
        assert [process for process, _ in run.listeners] == [OTHER_API]
        assert (watched.world.audience.asked, watched.world.engine.ended) == ([], 0)


async def test_one_who_waits_unheard_keeps_the_run_and_is_asked_again(watched: Watched) -> None:
    """An api process holds the request open but never attached; when it is gone too, the run ends."""
    waiting = watched.world.audience.waiting
    async with watched.running() as run:
        waiting.add(run.request_id)
        await watched.pass_(DEAD_SECONDS, OTHER_API)
        await until(lambda: len(watched.world.audience.asked) == 1)
        await asyncio.sleep(0.02)
        waiting.clear()
        await watched.pass_(AGAIN_SECONDS - SIGN_SECONDS, OTHER_API)
        assert (len(watched.world.audience.asked), watched.world.engine.ended) == (1, 0)
        await watched.pass_(2 * SIGN_SECONDS, OTHER_API)
        await watched.ended()
    assert watched.world.outcomes == ["cancelled"]


async def test_process_never_heard_of_counts_from_the_beginning(watched: Watched) -> None:
    """It died before this process began to listen, or its signs were lost."""
    async with watched.running(reply_to=API) as run:
        watched.leaving.lives = Lives(watched.world.clock)
        await watched.pass_(DEAD_SECONDS - SIGN_SECONDS, OTHER_API)
        assert watched.world.audience.asked == []
        await watched.pass_(SIGN_SECONDS, OTHER_API)
        await watched.ended()
    assert [end.command.request_id for end in watched.world.records.ends] == [run.request_id]


async def test_listener_of_another_kind_is_never_dropped(watched: Watched) -> None:
    """A worker shows no signs of life, and waits for its answer all the same."""
    async with watched.running(on_disconnect=OnDisconnect.CONTINUE) as run:
        run.attach("worker-1", {})
        await watched.pass_(60.0, OTHER_API)
        assert [process for process, _ in run.listeners] == ["worker-1"]


async def test_time_without_any_process_does_not_count(watched: Watched) -> None:
    """There was none to come back to: the ten seconds are those of the first one that lives again."""
    async with watched.running():
        await watched.pass_(300.0)
        await watched.pass_(DEAD_SECONDS - 2 * SIGN_SECONDS, OTHER_API)
        await asyncio.sleep(0.02)
        assert (watched.world.audience.asked, watched.world.engine.ended) == ([], 0)
        await watched.pass_(2 * SIGN_SECONDS, OTHER_API)
        await watched.ended()


async def test_time_without_a_bus_does_not_count(watched: Watched) -> None:
    """Nobody could be heard: everybody has the whole time again."""
    async with watched.running():
        await watched.pass_(DEAD_SECONDS - SIGN_SECONDS, OTHER_API)
        watched.connected = False
        await watched.pass_(60.0)
        watched.connected = True
        await watched.pass_(DEAD_SECONDS - SIGN_SECONDS, OTHER_API)
        assert (watched.world.audience.asked, watched.world.engine.ended) == ([], 0)
        await watched.pass_(SIGN_SECONDS, OTHER_API)
        await watched.ended()


async def test_stall_of_this_process_does_not_count(watched: Watched) -> None:
    """After it was frozen, what was said meanwhile is still to be heard."""
    async with watched.running():
        watched.world.clock.ahead += 60.0
        await watched.leaving.look()
        await watched.pass_(DEAD_SECONDS - SIGN_SECONDS, OTHER_API)
        assert (watched.world.audience.asked, watched.world.engine.ended) == ([], 0)


async def test_bus_that_goes_away_during_the_question_stops_nothing(watched: Watched) -> None:
    """No answer from a bus that is gone says nothing about who waits."""
    async with watched.running():
        await watched.pass_(DEAD_SECONDS - SIGN_SECONDS, OTHER_API)
        watched.world.clock.ahead += SIGN_SECONDS
        await watched.leaving.look()
        watched.connected = False
        await until(lambda: len(watched.world.audience.asked) == 1)
        await asyncio.sleep(0.02)
        assert watched.world.engine.ended == 0


async def test_one_question_at_a_time_about_a_run(watched: Watched) -> None:
    """However slowly it is answered."""
    async with watched.running() as run:
        watched.world.audience.waiting.add(run.request_id)
        watched.world.audience.answering.clear()
        await watched.pass_(DEAD_SECONDS + 10 * SIGN_SECONDS, OTHER_API)
        assert len(watched.world.audience.asked) == 1


def test_processes_remembered_are_bounded() -> None:
    """Whoever was heard last stays known."""
    lives = Lives(MovedClock())
    for n in range(KNOWN + 1):
        lives.heard(f"api-{n}")
    assert (lives.knows("api-0"), lives.knows("api-1"), lives.knows(f"api-{KNOWN}")) == (False, True, True)


def test_what_a_look_finds_is_that_a_process_is_silent_long_enough() -> None:
    """Not a moment before."""
    clock = MovedClock()
    lives = Lives(clock)
    lives.heard("api-1")
    look_until(lives, clock, DEAD_SECONDS - 0.1)
    assert not lives.is_dead("api-1", 0.0)
    look_until(lives, clock, 0.2)
    assert lives.is_dead("api-1", 0.0)


def look_until(lives: Lives, clock: MovedClock, seconds: float) -> None:
    """Look every tenth of a second."""
    for _ in range(round(seconds * 10)):
        clock.ahead += 0.1
        lives.heard("api-2")
        lives.look(connected=True)
