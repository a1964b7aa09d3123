"""The deliveries under way: kept alive by heartbeats, waited for at stop."""

import asyncio
import contextlib
from collections.abc import Sequence
from itertools import takewhile

from penstock_common.messaging.ports import Incoming, Settler

EARLY = 1 / 16  # of the time between two beats: what is due so soon beats along


class Inflight:
    """Beats for all deliveries in one sweep (nearly all end before their first beat), and drains them at stop."""

    def __init__(self, settler: Settler) -> None:
        self.settler = settler
        self.tasks: set[asyncio.Task[object]] = set()
        """At work on deliveries."""
        self._held: dict[int, tuple[float, Incoming]] = {}
        """By identity, with the time of the next beat; as each waits equally long, the first is due first."""
        self._timer: asyncio.TimerHandle | None = None

    def hold(self, messages: Sequence[Incoming]) -> None:
        """Beat for these from now on."""
        if every := self.settler.heartbeat:
            loop = asyncio.get_running_loop()
            due = loop.time() + every
            for message in messages:
                self._held[id(message)] = due, message
            if self._timer is None:
                self._timer = loop.call_at(due, self._sweep)

    def release(self, messages: Sequence[Incoming]) -> None:
        """Beat for these no more."""
        for message in messages:
            self._held.pop(id(message), None)

    def begin(self, messages: Sequence[Incoming]) -> asyncio.Task[object]:
        """Count the current task as at work on these deliveries, until `end`."""
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        self.hold(messages)
        return task

    def end(self, task: asyncio.Task[object], messages: Sequence[Incoming]) -> None:
        """They are settled, or left to the bus."""
        self.tasks.discard(task)
        self.release(messages)

    def _sweep(self) -> None:
        loop, every = asyncio.get_running_loop(), self.settler.heartbeat
        assert every is not None
        soon, again = loop.time() + every * EARLY, loop.time() + every
        due = [message for _, message in takewhile(lambda held: held[0] <= soon, self._held.values())]
        for message in due:
            del self._held[id(message)]
            self._held[id(message)] = again, message
        with contextlib.suppress(Exception):  # a lost beat is only a duplicate
            self.settler.extend([message for message in due if not message.settled])
        first = next(iter(self._held.values()), None)
        self._timer = loop.call_at(first[0], self._sweep) if first else None

    async def drain(self, grace: float) -> None:
        """Wait up to `grace` seconds for what runs; then cancel it, which hands it back."""
        if not self.tasks:
            return
        _, late = await asyncio.wait(self.tasks, timeout=grace)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=2)
