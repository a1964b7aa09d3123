"""An embedding process as the service sees it."""

import asyncio
import contextlib
import os
import sys
from collections.abc import Sequence
from itertools import count
from typing import Final

import msgspec
import structlog

from penstock_inference.adapters.engines.minilm.frames import (
    HEAD,
    Ask,
    Beat,
    Drop,
    TooLong,
    Vectors,
    framed,
    length_of,
    read_answer,
)

log = structlog.get_logger()

CHILD: Final = (sys.executable, "-m", "penstock_inference.adapters.engines.minilm.child")
PATIENCE_SECONDS = 30.0  # without a sign of life while it has work
IDLE_SECONDS = 300.0  # without work; then its memory is given back
WATCH_SECONDS = 0.5
ONE_THREAD = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
INHERITED = ("PATH", "PYTHONPATH", "LANG", "LD_LIBRARY_PATH")


class Died(Exception):
    """The process ended before it had answered."""


class Child:
    """One process, from its start to its end."""

    def __init__(self, process: asyncio.subprocess.Process, patience: float, idle: float) -> None:
        self.process, self.patience, self.idle = process, patience, idle
        self._waiting: dict[int, asyncio.Future[Vectors | TooLong]] = {}
        self._ids = count(1)
        self._heard = asyncio.get_running_loop().time()
        self._tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._watch())]

    @classmethod
    async def begin(cls, command: Sequence[str], patience: float, idle: float) -> "Child":
        """Start a process that knows nothing of the service's settings and passwords."""
        environment = {name: os.environ[name] for name in INHERITED if name in os.environ}
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=environment | ONE_THREAD | {"TOKENIZERS_PARALLELISM": "false"},
            start_new_session=True,
        )
        log.info("embedder.started", pid=process.pid)
        return cls(process, patience, idle)

    @property
    def is_over(self) -> bool:
        """Whether it takes no more questions."""
        return self._tasks[0].done()

    async def ask(self, ask: Ask) -> Vectors | TooLong:
        """Its answer. Raises Died; a cancelled caller is forgotten by the process too."""
        if not self._waiting:
            self._heard = asyncio.get_running_loop().time()
        id_ = next(self._ids)
        future: asyncio.Future[Vectors | TooLong] = asyncio.get_running_loop().create_future()
        self._waiting[id_] = future
        try:
            await self._say(msgspec.structs.replace(ask, id=id_))
            return await future
        except asyncio.CancelledError:
            self._pipe.write(framed(Drop(id_)))
            raise
        finally:
            del self._waiting[id_]

    async def end(self) -> None:
        """Kill it, and wait until it is gone."""
        for task in self._tasks:
            task.cancel()
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        await asyncio.gather(*self._tasks, self.process.wait(), return_exceptions=True)

    @property
    def _pipe(self) -> asyncio.StreamWriter:
        assert self.process.stdin
        return self.process.stdin

    async def _say(self, ask: Ask) -> None:
        if self.is_over:
            raise Died
        self._pipe.write(framed(ask))
        try:
            await self._pipe.drain()
        except ConnectionError as error:
            raise Died from error

    async def _read(self) -> None:
        assert self.process.stdout
        try:
            while True:
                length = length_of(await self.process.stdout.readexactly(HEAD))
                answer = read_answer(await self.process.stdout.readexactly(length))
                self._heard = asyncio.get_running_loop().time()
                if isinstance(answer, Beat):
                    continue
                future = self._waiting.get(answer.id)
                if future and not future.done():
                    future.set_result(answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            log.info("embedder.ended", code=await self.process.wait(), unanswered=len(self._waiting))
        finally:
            for future in self._waiting.values():
                if not future.done():
                    future.set_exception(Died())

    async def _watch(self) -> None:
        """Kill a process that stands still, or that nobody needs."""
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            quiet = asyncio.get_running_loop().time() - self._heard
            if quiet > (self.patience if self._waiting else self.idle):
                with contextlib.suppress(ProcessLookupError):
                    self.process.kill()
                return
