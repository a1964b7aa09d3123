"""A process that may have lost its deliveries: silent until the row says that it may go on."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from penstock_common.contracts.stream import Beat
from penstock_common.messaging.delivery import HandBack
from penstock_inference.generating.lease import Lease, lease_seconds
from penstock_inference.ports import EngineEvent, Finished, TextDelta
from tests.support.generation_fakes import MovedClock, Row, connection
from tests.unit.inference.generating.conftest import LEASE_SECONDS, World, until

DONE: list[EngineEvent] = [Finished(0, "stop")]


def said(text: str) -> list[EngineEvent]:
    """Text of choice 0."""
    return [TextDelta(0, "content", text)]


@pytest.fixture
async def watched(world: World) -> AsyncIterator[World]:
    """A process whose registry looks after its runs."""
    world.registry.start()
    yield world
    await world.registry.close()


def test_lease_holds_while_the_loop_turns() -> None:
    """Looked at often enough, it never grows suspicious."""
    clock = MovedClock()
    lease = Lease(connection(), clock, LEASE_SECONDS)
    clock.ahead += LEASE_SECONDS - 0.1
    assert lease.epoch() == 0


def test_a_stall_or_a_suspended_machine_is_noticed_at_the_next_look() -> None:
    """CLOCK_BOOTTIME runs on while the machine sleeps: the first look afterwards counts it, once."""
    clock = MovedClock()
    lease = Lease(connection(), clock, LEASE_SECONDS)
    clock.ahead += LEASE_SECONDS + 0.1
    assert [lease.epoch(), lease.epoch()] == [1, 1]


async def test_a_lost_connection_is_noticed_though_the_loop_turns() -> None:
    """No heartbeat left: after the lease's time the process is suspect; a short gap is none."""
    clock, bus = MovedClock(), connection()
    lease = Lease(bus, clock, LEASE_SECONDS)
    lease.start()
    bus.connected = False  # type: ignore[misc]
    clock.ahead += LEASE_SECONDS - 0.5
    await asyncio.sleep(0.3)
    assert lease.epoch() == 0
    clock.ahead += 1.0
    assert lease.epoch() == 1
    lease.stop()


async def test_a_turning_loop_and_a_connection_renew_the_lease() -> None:
    """Twice almost the lease's time, with a tick between, is no stall."""
    clock = MovedClock()
    lease = Lease(connection(), clock, LEASE_SECONDS)
    lease.start()
    clock.ahead += LEASE_SECONDS - 0.1
    await asyncio.sleep(0.3)
    clock.ahead += LEASE_SECONDS - 0.1
    assert lease.epoch() == 0
    lease.stop()


def test_lease_ends_before_the_bus_gives_up() -> None:
    """On NATS: a heartbeat, and two looks, less than `ack_wait`; where the connection is the sign of life, 8 s."""
    assert lease_seconds(4.0, 4 / 3) < 4.0 - 4 / 3
    assert lease_seconds(4.0, None) < 6.0


async def test_suspect_says_nothing_until_confirmed_then_goes_on(world: World) -> None:
    """A frozen process finds its attempt still the newest: the client misses nothing, and nobody else may claim 1."""
    gate = asyncio.Event()
    world.engine.script = [said("Hel"), gate, said("lo"), 30.0]
    command = world.command()
    running = world.begin(command)
    await until(lambda: world.audience.text() == "Hel")
    world.clock.ahead += LEASE_SECONDS + 1
    gate.set()
    await asyncio.sleep(0.1)
    assert world.audience.text() == "Hel"
    await world.registry.runs[command.request_id].assure()
    assert world.audience.text() == "Hello"
    assert world.records.rows[command.request_id] == Row(1, "running", "inference-1")
    running.cancel()


async def test_superseded_run_falls_silent_and_leaves_the_command_to_its_new_owner(watched: World) -> None:
    """Another attempt was claimed meanwhile: the engine call ends, nothing is said, nothing is acknowledged."""
    watched.engine.script = [said("Hel"), 30.0]
    command = watched.command()
    running = watched.begin(command)
    await until(lambda: watched.audience.text() == "Hel")
    told = len(watched.audience.told)
    watched.records.rows[command.request_id] = Row(2, "running", "inference-2")
    watched.clock.ahead += LEASE_SECONDS + 1
    with pytest.raises(HandBack):
        await running
    assert (len(watched.audience.told), watched.outcomes, watched.engine.ended) == (told, [], 1)


async def test_suspect_waits_for_the_database_while_others_beat_on(watched: World) -> None:
    """Nobody can say whether it may go on: it is silent, and a run begun since is not held up by it."""
    watched.beat_seconds = 0.0
    watched.engine.script = [said("Hel"), 30.0]
    suspect = watched.begin(watched.command())
    await until(lambda: watched.audience.text() == "Hel")
    watched.records.away = watched.records.unnoticed = True
    watched.clock.ahead += LEASE_SECONDS + 1
    watched.audience.told.clear()
    fresh = watched.begin(watched.command(reply_to="api-2"))
    await until(lambda: Beat(1) in watched.audience.frames("api-2"))
    assert Beat(1) not in watched.audience.frames()
    watched.records.away = False
    await until(lambda: Beat(1) in watched.audience.frames())
    suspect.cancel()
    fresh.cancel()


async def test_suspect_that_nobody_can_assure_is_handed_back(watched: World) -> None:
    """The database stays away: the command is not acknowledged, so that it will be delivered again."""
    watched.held_seconds = 0.05
    watched.engine.script = [said("Hel"), 30.0]
    running = watched.begin(watched.command())
    await until(lambda: watched.audience.text() == "Hel")
    watched.records.away = True
    watched.clock.ahead += LEASE_SECONDS + 1
    with pytest.raises(HandBack):
        await running


async def test_suspect_that_ends_asks_the_row_by_ending(world: World) -> None:
    """An end needs no assurance of its own: it counts exactly if no newer attempt was claimed."""
    gate = asyncio.Event()
    world.engine.script = [said("Hel"), gate, said("lo"), DONE]
    running = world.begin(world.command())
    await until(lambda: world.audience.text() == "Hel")
    world.clock.ahead += LEASE_SECONDS + 1
    gate.set()
    await running
    assert (world.outcomes, world.audience.text()) == (["succeeded"], "Hello")


async def test_a_silent_run_beats(watched: World) -> None:
    """Its listeners hear that it lives, for unstreamed answers too."""
    watched.beat_seconds = 0.02
    watched.engine.script = [30.0]
    running = watched.begin(watched.command(streamed=False))
    await until(lambda: watched.audience.frames().count(Beat(1)) >= 2)
    running.cancel()
