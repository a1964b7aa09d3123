"""The deliveries under way: kept alive by heartbeats, waited for at stop."""

import asyncio
import contextlib
from collections.abc import Iterator

from penstock_common.messaging.ports import Incoming, Settler


class Inflight:
    """Beats for each delivery by timer (nearly all end before the first beat), and drains them at stop."""

    def __init__(self, settler: Settler) -> None:
        self.settler = settler
        self.tasks: set[asyncio.Task[object]] = set()
        self._beats: set[asyncio.Task[None]] = set()

    @contextlib.contextmanager
    def holding(self, *messages: Incoming) -> Iterator[None]:
        """Count the current task as at work on these deliveries."""
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        timer = Heartbeat(self, messages) if self.settler.heartbeat else None
        try:
            yield
        finally:
            self.tasks.discard(task)
            if timer:
                timer.cancel()

    def extend(self, message: Incoming) -> None:
        """Tell the bus that a delivery is still at work; a lost beat is only a duplicate."""
        beat = asyncio.get_running_loop().create_task(self._extend(message))
        self._beats.add(beat)
        beat.add_done_callback(self._beats.discard)

    async def _extend(self, message: Incoming) -> None:
        with contextlib.suppress(Exception):
            await self.settler.extend(message)

    async def drain(self, grace: float) -> None:
        """Wait up to `grace` seconds for what runs; then cancel it, which hands it back."""
        if not self.tasks:
            return
        _, late = await asyncio.wait(self.tasks, timeout=grace)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=2)


class Heartbeat:
    """A repeating timer over the deliveries that one task holds."""

    def __init__(self, inflight: Inflight, messages: tuple[Incoming, ...]) -> None:
        self.inflight, self.messages = inflight, messages
        self._arm()

    def _arm(self) -> None:
        every = self.inflight.settler.heartbeat
        assert every is not None
        self._timer = asyncio.get_running_loop().call_later(every, self._beat)

    def _beat(self) -> None:
        for message in self.messages:
            if not message.settled:
                self.inflight.extend(message)
        self._arm()

    def cancel(self) -> None:
        """Beat no more."""
        self._timer.cancel()
