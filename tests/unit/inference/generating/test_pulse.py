"""What runs say leaves together: one tick for all of them."""

import asyncio
from contextvars import ContextVar
from dataclasses import replace

from penstock_common.contracts.stream import Delta
from penstock_inference.generating.pulse import Pulse
from penstock_inference.generating.run import Run, RunPorts
from penstock_inference.generating.timers import Timers
from penstock_inference.ports import EngineEvent, TextDelta
from tests.unit.inference.generating.conftest import World, until

WHOSE: ContextVar[str] = ContextVar("whose", default="nobody's")


def said(text: str) -> list[EngineEvent]:
    """Text of choice 0."""
    return [TextDelta(0, "content", text)]


def a_run(world: World, ports: RunPorts) -> Run:
    """An attempt that has said its first text."""
    run = Run(world.command(), 1, process="inference-1", ports=ports)
    run.take(said("first"))
    return run


def texts(world: World) -> list[str]:
    """What was told, delta by delta."""
    return [frame.text for frame in world.audience.frames() if isinstance(frame, Delta)]


def boom() -> None:
    """Fail."""
    raise ZeroDivisionError


async def test_the_first_text_leaves_at_once_and_what_follows_with_all_others(world: World) -> None:
    """One delta a run and tick, however many pieces came, and all runs in one turn of the loop."""
    ports = replace(world.shared, timers=Timers(pulse=Pulse(0.5)))
    runs = [a_run(world, ports) for _ in range(3)]
    assert texts(world) == ["first"] * 3
    for piece in ("a", "b"):
        for run in runs:
            run.take(said(piece))
            await asyncio.sleep(0.001)
    assert texts(world) == ["first"] * 3
    await until(lambda: len(texts(world)) > 3)
    assert texts(world) == ["first"] * 3 + ["ab"] * 3


async def test_a_run_that_ended_says_nothing_at_the_tick(world: World) -> None:
    """What was due has left with its end."""
    run = a_run(world, world.shared)
    run.take(said("more"))
    run.flush()
    run.close()
    await asyncio.sleep(0.1)
    assert texts(world) == ["first", "more"]


async def test_text_after_a_flush_waits_for_its_own_tick(world: World) -> None:
    """A flush in between, as a beat is one, loses nothing and repeats nothing."""
    run = a_run(world, world.shared)
    run.take(said("a"))
    run.flush()
    run.take(said("b"))
    assert texts(world) == ["first", "a"]
    await until(lambda: texts(world)[2:] == ["b"])


async def test_readers_read_before_writers_write() -> None:
    """What a task reads that is woken by a tick leaves with the same tick."""
    pulse, said_so = Pulse(0.01), list[str]()
    arrived = asyncio.get_running_loop().create_future()

    async def reader() -> None:
        await arrived
        said_so.append("read")
        pulse.write(lambda: said_so.append("written"))

    task = asyncio.create_task(reader())
    await asyncio.sleep(0)
    pulse.write(lambda: said_so.append("of another"))
    pulse.read(lambda: arrived.set_result(None))
    await task
    await asyncio.sleep(0)
    assert said_so == ["read", "of another", "written"]


async def test_no_run_speaks_in_the_context_of_another() -> None:
    """The tick that the first one asked for serves all; a failure stays with whom it concerns."""
    pulse, whose = Pulse(0.01), list[str]()
    WHOSE.set("the first one's")
    pulse.write(lambda: whose.append(WHOSE.get()))
    pulse.write(boom)
    pulse.write(lambda: whose.append(WHOSE.get()))
    await until(lambda: len(whose) == 2)
    assert whose == ["nobody's"] * 2


async def test_an_idle_process_does_not_tick() -> None:
    """One tick a time in which something was said, none else."""
    ticks = list[float]()
    timers = Timers(pulse=Pulse(0.01))
    timers.pulse.read(lambda: ticks.append(asyncio.get_running_loop().time()))
    await asyncio.sleep(0.1)
    assert len(ticks) == 1
    assert not timers.pulse.is_armed
