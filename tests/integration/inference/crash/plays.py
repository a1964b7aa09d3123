"""What a process may be at when it dies: each play has one process a point meet a request there."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tests.integration.inference.crash.process import STATUS
from tests.integration.inference.crash.scene import Life, Scene

LANE, STOPS, LETTERS = "generate_text", "cancel_generation", "generate_text_dead"
SHORT = " ".join(f"word{number}" for number in range(8))
LONG = " ".join(f"word{number}" for number in range(200))
RELAY = ("publish", "update")
"""Steps that any process makes, where the one that was to make them has lost its bus."""
FROZEN_SECONDS = 6.0  # longer than any lease


async def first(scene: Scene, points: list[str]) -> list[Life]:
    """A first execution, from its command to its acknowledgement."""
    lives = await scene.start(points, LANE)
    await scene.ask(len(points), "sim/fast", SHORT)
    await scene.begin(lives)
    return lives


async def take_over(scene: Scene, points: list[str]) -> list[Life]:
    """The attempt that follows when the first was killed in mid-stream."""
    (owner,) = await scene.start([""], LANE, slots=100)
    await scene.heard(await scene.ask(len(points), "sim/slow", SHORT))
    await owner.kill()
    lives = await scene.start(points, LANE)
    await scene.begin(lives)
    return lives


async def stopped(scene: Scene, points: list[str]) -> list[Life]:
    """An execution whose client wants it stopped."""
    lives = await scene.start(points, LANE)
    some = await scene.ask(len(points), "sim/slow", LONG)
    await scene.begin(lives)
    await scene.heard(some)
    await scene.stop(some)
    return lives


async def stop_kept(scene: Scene, points: list[str]) -> list[Life]:
    """The stop itself, kept for whoever takes over, while another process runs what it is about."""
    await scene.start([""], LANE, slots=100)
    lives = await scene.start(points, STOPS)
    some = await scene.ask(len(points), "sim/slow", LONG)
    await scene.heard(some)
    await scene.stop(some)
    await scene.begin(lives)
    return lives


async def too_late(scene: Scene, points: list[str]) -> list[Life]:
    """A process that froze before its end, and wakes after another attempt has ended."""
    lives = await scene.start(points, LANE, pause_at="finish before")
    some = await scene.ask(len(points), "sim/fast", SHORT)
    await scene.begin(lives)
    await scene.passed(lives, "finish before")
    async with scene.inference():
        await scene.ended(some)
    scene.resume(lives)
    return lives


async def suspect(scene: Scene, points: list[str]) -> list[Life]:
    """A process that froze for longer than its lease, and was not replaced meanwhile."""
    lives = await scene.start(points, LANE, pause_at="text sent after")
    await scene.ask(len(points), "sim/slow", SHORT)
    await scene.begin(lives)
    await scene.passed(lives, "text sent after")
    await asyncio.sleep(FROZEN_SECONDS)
    scene.resume(lives)
    return lives


async def burial(scene: Scene, points: list[str]) -> list[Life]:
    """The end of a request that could not be handled: each point in turn, on one and the same dead letter."""
    await scene.ask(1, "sim/fast", SHORT)
    await scene.refuse()
    lives: list[Life] = []
    for point in points:
        lives += await scene.start([point], LETTERS)
        await scene.begin(lives[-1:])
        if point:
            await lives[-1].wrote(STATUS)
    return lives


@dataclass(frozen=True)
class Play:
    """A play, which of the points that it passes are its own, and how its request ends."""

    run: Callable[[Scene, list[str]], Awaitable[list[Life]]]
    steps: tuple[str, ...]
    """Steps that it surely has; what else it has is found."""
    after: str = ""
    """Only points after this one."""
    only: str = ""
    """Only points that begin with this."""
    without: tuple[str, ...] = ()
    """No points that begin with one of these."""
    text: str = SHORT
    outcome: str = "succeeded"

    def own(self, points: list[str]) -> list[str]:
        """The play's own points, in order."""
        later = points[points.index(self.after) + 1 :] if self.after else points
        found = [point for point in later if point.startswith(self.only) and not point.startswith(self.without)]
        assert {f"{step} {when}" for step in self.steps for when in ("before", "after")} <= set(found), found
        return found


PLAYS = {
    "first execution": Play(first, ("engine call", "text sent", "finish", "end sent", "ack")),
    "take-over": Play(take_over, ("claim", "commit", "engine call", "text sent", "finish", "end sent", "ack")),
    "stopped execution": Play(
        stopped, ("finish", "end sent", "ack"), after="stop before", text=LONG, outcome="cancelled"
    ),
    "stop kept": Play(stop_kept, ("mark_cancelled", "commit", "ack"), text=LONG, outcome="cancelled"),
    "execution that ends too late": Play(too_late, ("commit", "ack"), after="finish before", without=RELAY),
    "suspect": Play(suspect, ("confirm",), only="confirm"),
    "burial": Play(burial, ("claim", "commit", "finish", "end sent", "ack"), without=RELAY, text="", outcome="failed"),
}
