"""The services as processes of their own, started again whenever they die."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from penstock.platform.asking import is_ok
from penstock.platform.ports import LOOPBACK
from penstock.platform.program import Program, plain_environment
from tests.chaos.clocked import set_offset

PAUSE = 0.3  # seconds between a death and the next start
READY_WITHIN = 90.0  # seconds


@dataclass(frozen=True, slots=True)
class Role:
    """What a process is, and how it is told."""

    service: str
    number: int
    module: str
    settings: Mapping[str, str]
    port: int

    @property
    def name(self) -> str:
        """What people call the process."""
        return f"{self.service}-{self.number}"

    def clock(self, home: Path) -> Path:
        """The file that says by how much its clock is wrong."""
        return home / f"{self.name}.clock"

    def program(self, home: Path) -> Program:
        """Its command line."""
        prefix = f"PENSTOCK_{self.service.upper()}_"
        settings = {"HTTP__PORT": str(self.port), "LOG__LEVEL": "info", **self.settings}
        named = {f"{prefix}{name}": value for name, value in settings.items()}
        return Program(
            name=self.name,
            argv=(sys.executable, "-m", "tests.chaos.clocked", self.module, str(self.clock(home))),
            env=plain_environment() | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))} | named,
            cwd=home,
        )


class Service:
    """One of them."""

    def __init__(self, role: Role, home: Path) -> None:
        self.role, self.home = role, home
        self.deaths = 0
        self._process: asyncio.subprocess.Process | None = None
        self._guard: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """Where it is asked over HTTP."""
        return f"http://{LOOPBACK}:{self.role.port}"

    @property
    def log(self) -> Path:
        """What it said."""
        return self.home / f"{self.role.name}.log"

    @property
    def clock(self) -> Path:
        """The file that says by how much its clock is wrong."""
        return self.role.clock(self.home)

    async def start(self) -> None:
        """Start it, and keep it alive from now on."""
        set_offset(self.clock, 0.0)
        await self._spawn()
        self._guard = asyncio.create_task(self._keep_alive())

    async def ready(self) -> None:
        """Wait until it answers."""
        async with asyncio.timeout(READY_WITHIN):
            while not await is_ok(f"{self.url}/readyz"):
                await asyncio.sleep(0.1)

    def kill(self) -> None:
        """kill -9."""
        self._signal(signal.SIGKILL)

    def end(self) -> None:
        """Have it end in order."""
        self._signal(signal.SIGTERM)

    def freeze(self) -> None:
        """Stop it as it stands."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    async def stop(self) -> None:
        """End it, in no order."""
        if self._guard:
            self._guard.cancel()
            await asyncio.wait([self._guard])
        self.kill()
        if self._process:
            await self._process.wait()

    async def _spawn(self) -> None:
        program = self.role.program(self.home)
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *program.argv, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, **program.popen_arguments()
            )

    async def _keep_alive(self) -> None:
        while True:
            assert self._process
            await self._process.wait()
            self.deaths += 1
            await asyncio.sleep(PAUSE)
            await self._spawn()

    def _signal(self, number: signal.Signals) -> None:
        if self._process and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, number)
