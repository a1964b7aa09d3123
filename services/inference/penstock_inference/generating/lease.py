"""Whether this process may still speak for what it runs.

The bus gives a delivery to someone else once its heartbeats stop. A process that was frozen, or that lost its
connection, cannot know whether that happened: it becomes suspect, and must ask the row before it says another word.
"""

import asyncio

from penstock_common.clock import Clock
from penstock_common.messaging.ports import Bus

TICK = 0.25  # seconds


class Lease:
    """Counts the times at which this process may have lost its deliveries."""

    def __init__(self, bus: Bus, clock: Clock, seconds: float) -> None:
        self.bus, self.clock, self.seconds = bus, clock, seconds
        self._heard, self._epoch = clock.boottime(), 0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to watch the loop and the connection."""
        self._heard = self.clock.boottime()
        self._tick()

    def stop(self) -> None:
        """Watch no more."""
        if self._timer:
            self._timer.cancel()

    def _tick(self) -> None:
        self.epoch()
        if self.bus.connected:
            self._heard = self.clock.boottime()
        self._timer = asyncio.get_running_loop().call_later(TICK, self._tick)

    def epoch(self) -> int:
        """Grows whenever the loop stalled, or the connection was away, for longer than the lease."""
        now = self.clock.boottime()
        if now - self._heard > self.seconds:
            self._epoch += 1
            self._heard = now
        return self._epoch


def lease_seconds(ack_wait: float, heartbeat: float | None) -> float:
    """How long a silence is surely shorter than what the bus tolerates: less than ack_wait by a heartbeat.

    Where the connection itself is the sign of life (no heartbeat), RabbitMQ may give up 6 s after a stall began.
    """
    return max(0.5, ack_wait - heartbeat - 2 * TICK) if heartbeat else 5.5
