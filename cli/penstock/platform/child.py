"""One supervised process: started, watched, started again, stopped."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

from penstock.platform.errors import PlatformError
from penstock.platform.leftovers import Ledger
from penstock.platform.logs import Console, Log
from penstock.platform.program import Program

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0  # seconds between restarts
HEALTHY_AFTER = 30.0  # seconds without a death forgive the earlier ones
READY_WITHIN = 60.0  # seconds
POLL = 0.05  # seconds

Probe = Callable[[int], Awaitable[bool]]


class Process(Protocol):
    """A process that was started, its standard error in its standard output."""

    @property
    def pid(self) -> int:
        """Its id."""

    @property
    def stdout(self) -> asyncio.StreamReader | None:
        """What it prints."""

    @property
    def returncode(self) -> int | None:
        """None while it runs."""

    async def wait(self) -> int:
        """The exit code, or the number of the signal below zero."""


Spawn = Callable[[Program], Awaitable[Process]]


async def execute(program: Program) -> Process:
    """Start the program; raises PlatformError where it can't be run."""
    try:
        return await asyncio.create_subprocess_exec(
            *program.argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            **program.popen_arguments(),
        )
    except OSError as error:
        raise PlatformError(f"{program.name} can't be started: {error}") from error


class Child:
    """A process that is to run for as long as the platform does."""

    def __init__(
        self,
        program: Program,
        log: Log,
        ledger: Ledger,
        console: Console,
        *,
        clear: Callable[[], None] = lambda: None,
        spawn: Spawn = execute,
    ) -> None:
        """`clear` runs before each restart, to remove what the dead process left."""
        self.program, self.log = program, log
        self._clear = clear
        self._ledger = ledger
        self._console = console
        self._spawn = spawn
        self._process: Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._guard: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        """The name of its program."""
        return self.program.name

    async def start(self) -> None:
        """Start the process; raises PlatformError where the program can't be run."""
        self._process = await self._spawn(self.program)
        with contextlib.suppress(OSError):
            self._ledger.add(self.name, self._process.pid)
        assert self._process.stdout
        self._reader = asyncio.create_task(self.log.follow(self._process.stdout))

    async def ready(self, probe: Probe) -> None:
        """Wait until the probe agrees; raises PlatformError with the last lines where the process ends or dawdles."""
        assert self._process
        deadline = time.monotonic() + READY_WITHIN
        while self._process.returncode is None:
            if await probe(self._process.pid):
                return
            if time.monotonic() > deadline:
                raise PlatformError(f"{self.name} is not ready after {READY_WITHIN:.0f} s.{self.story()}")
            await asyncio.sleep(POLL)
        if self._reader:
            await self._reader
        raise PlatformError(f"{self.name} ended with {_ending(self._process.returncode)}.{self.story()}")

    def guard(self) -> None:
        """From now on start the process again whenever it dies."""
        self._guard = asyncio.create_task(self._keep_alive())

    async def unguard(self) -> None:
        """Leave it dead from now on when it dies."""
        if self._guard:
            self._guard.cancel()
            await asyncio.wait([self._guard])
            self._guard = None

    async def stop(self, grace: float, by: signal.Signals | None = None) -> None:
        """Ask the process to end, by its stop signal or another, and force it after `grace` seconds."""
        await self.unguard()
        if not self._process:
            return
        self.signal(by or self.program.stop_signal)
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

    def story(self) -> str:
        """Its last lines, and where the rest is."""
        lines = "".join(f"\n    {line}" for line in self.log.last)
        return f" Its last lines ({self.log.path}):{lines}" if lines else f" Its log is {self.log.path}."


def _ending(code: int) -> str:
    return f"exit code {code}" if code >= 0 else signal.Signals(-code).name
