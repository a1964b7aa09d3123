"""Makes the supervisor the parent of every process of the platform whose own parent has ended."""

import asyncio
import ctypes
import os

PAUSE = 5.0  # seconds
_PR_SET_CHILD_SUBREAPER = 36


class Orphans:
    """Adopts, and reaps those that nobody waits for."""

    def __init__(self) -> None:
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """From now on."""
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self._task = asyncio.create_task(self._reap())

    async def stop(self) -> None:
        """No longer."""
        if self._task:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _reap(self) -> None:
        former = 0
        while True:
            await asyncio.sleep(PAUSE)
            # Whoever waits for a process reaps it at once: one that is still there after the pause is nobody's.
            former = _ended(but_reap=former)


def _ended(but_reap: int) -> int:
    """A child that has ended and was not reaped yet; 0 for none, and for the one that this reaps."""
    try:
        found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        ended = found.si_pid if found else 0
        if ended and ended == but_reap:
            os.waitpid(ended, 0)
            return 0
    except ChildProcessError:
        return 0
    return ended
