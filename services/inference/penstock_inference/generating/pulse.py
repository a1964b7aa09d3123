"""One tick for all runs of a process: what engines say is read together, and leaves together.

So tokens cost per tick and not each by itself, and what a hundred runs say at once can travel in one message.
"""

import asyncio
from collections.abc import Callable
from contextvars import Context

import structlog

log = structlog.get_logger()

TICK_SECONDS = 0.04  # at least twice the token gap of a fast engine
Call = Callable[[], None]


class Pulse:
    """Calls, at the next tick, whoever asked for it: first those who read, then those who write."""

    def __init__(self, seconds: float = TICK_SECONDS) -> None:
        self.seconds = seconds
        self._reads: list[Call] = []
        self._writes: list[Call] = []
        self.is_armed = False
        """Whether a tick is to come: only where something waits for it."""

    def read(self, call: Call) -> None:
        """Wake a reader at the next tick."""
        self._reads.append(call)
        if not self.is_armed:
            self._arm()

    def write(self, call: Call) -> None:
        """Have something sent at the next tick, after all readers have read."""
        self._writes.append(call)
        if not self.is_armed:
            self._arm()

    def _arm(self) -> None:
        self.is_armed = True
        nobodys = Context()  # not that of the run which happens to be the first
        asyncio.get_running_loop().call_later(self.seconds, self._wake_readers, context=nobodys)

    def _wake_readers(self) -> None:
        reads, self._reads = self._reads, []
        called(reads)
        asyncio.get_running_loop().call_soon(self._send)  # once the tasks that were woken have read

    def _send(self) -> None:
        writes, self._writes = self._writes, []
        called(writes)
        self.is_armed = False
        if self._reads or self._writes:
            self._arm()


def called(calls: list[Call]) -> None:
    """Call each; one that fails keeps no other from its turn."""
    for call in calls:
        try:
            call()
        except Exception:
            log.exception("timer.failed")
