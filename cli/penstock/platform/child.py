"""One supervised process: started, watched, started again, stopped."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Awaitable, Callable

from penstock.platform.errors import PlatformError
from penstock.platform.launch import GO
from penstock.platform.leftovers import Ledger
from penstock.platform.logs import Console, Log
from penstock.platform.program import Program

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0  # seconds between restarts
HEALTHY_AFTER = 30.0  # seconds without a death forgive the earlier ones
READY_WITHIN = 60.0  # seconds
POLL = 0.05  # seconds

Probe = Callable[[int], Awaitable[bool]]


class Child:
    """A process that is to run for as long as the platform does."""

    def __init__(
        self,
        program: Program,
        log: Log,
        ledger: Ledger,
        console: Console,
        clear: Callable[[], None] = lambda: None,
    ) -> None:
        """`clear` runs before each restart, to remove what the dead process left."""
        self.program = program
        self._clear = clear
        self._log = log
        self._ledger = ledger
        self._console = console
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._guard: asyncio.Task[None] | None = None
        self._released = False

    @property
    def name(self) -> str:
        """The name of its program."""
        return self.program.name

    async def start(self) -> None:
        """Start the process; raises PlatformError where the program can't be run."""
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self.program.argv,
                stdin=asyncio.subprocess.PIPE if self.program.gated else asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                **self.program.popen_arguments(),
            )
        except OSError as error:
            raise PlatformError(f"{self.name} can't be started: {error}") from error
        with contextlib.suppress(OSError):
            self._ledger.add(self.name, self._process.pid)
        assert self._process.stdout
        self._reader = asyncio.create_task(self._log.follow(self._process.stdout))
        if self._released:
            self.release()

    def release(self) -> None:
        """Let a gated program begin, now and after each restart."""
        self._released = True
        gate = self._process.stdin if self._process else None
        if gate:
            gate.write(GO)
            gate.close()

    async def ready(self, probe: Probe) -> None:
        """Wait until the probe agrees; raises PlatformError with the last lines where the process ends or dawdles."""
        assert self._process
        deadline = time.monotonic() + READY_WITHIN
        while self._process.returncode is None:
            if await probe(self._process.pid):
                return
            if time.monotonic() > deadline:
                raise PlatformError(f"{self.name} is not ready after {READY_WITHIN:.0f} s.{self._story()}")
            await asyncio.sleep(POLL)
        if self._reader:
            await self._reader
        raise PlatformError(f"{self.name} ended with {_ending(self._process.returncode)}.{self._story()}")

    def guard(self) -> None:
        """From now on start the process again whenever it dies."""
        self._guard = asyncio.create_task(self._keep_alive())

    async def stop(self, grace: float) -> None:
        """Ask the process to end, and force it after `grace` seconds."""
        if self._guard:
            self._guard.cancel()
            await asyncio.wait([self._guard])
        if not self._process:
            return
        self.signal(self.program.stop_signal)
        for harder in (self.program.hurry_signal, signal.SIGKILL):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), grace)
                break
            self._console.say("penstock", f"{self.name} did not stop within {grace:.0f} s; sending {harder.name}")
            self.signal(harder)
        await self._process.wait()
        if self._reader:
            await asyncio.wait([self._reader], timeout=1)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process if it still runs."""
        if self._process and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, number)

    async def _keep_alive(self) -> None:
        pause = FIRST_PAUSE
        while True:
            assert self._process
            since = time.monotonic()
            ending = _ending(await self._process.wait())
            if time.monotonic() - since > HEALTHY_AFTER:
                pause = FIRST_PAUSE
            self._console.say("penstock", f"{self.name} ended with {ending}; starting it again in {pause:.1f} s")
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)
            try:
                await asyncio.to_thread(self._clear)
                await self.start()
            except PlatformError as error:
                self._console.say("penstock", str(error))

    def _story(self) -> str:
        lines = "".join(f"\n    {line}" for line in self._log.last)
        return f" Its last lines ({self._log.path}):{lines}" if lines else f" Its log is {self._log.path}."


def _ending(code: int) -> str:
    return f"exit code {code}" if code >= 0 else signal.Signals(-code).name
