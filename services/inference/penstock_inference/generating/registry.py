"""What this process runs now: found by request id for stops, re-attachments and questions."""

import asyncio
import contextlib
from collections import OrderedDict
from functools import partial
from typing import Protocol
from uuid import UUID

import structlog

from penstock_common.contracts.generation import (
    AttachGeneration,
    CancelGeneration,
    FindGeneration,
    GenerateText,
    GenerationFound,
)
from penstock_common.messaging.deadletter import describe
from penstock_inference.generating.listening import Listening
from penstock_inference.generating.run import Run, Superseded

log = structlog.get_logger()

CHECK_SECONDS = 1.0
REMEMBERED = 10_000  # stops heard for requests that have not begun here


class Waiting(Protocol):
    """A request that has no slot yet, and no attempt."""

    command: GenerateText
    listeners: Listening

    @property
    def request_id(self) -> UUID:
        """The request's id."""

    @property
    def attempt(self) -> int:
        """0."""

    def stop(self, reason: str) -> None:
        """End it without an engine's call."""

    def attach(self, process: str, offsets: dict[str, int], most: int = 0) -> None:
        """One more process listens."""

    def found(self) -> GenerationFound:
        """What is told of it."""


class Registry:
    """The running attempts of one process, and what waits in it for a slot."""

    def __init__(self, process: str, check_seconds: float = CHECK_SECONDS) -> None:
        self.process, self.check_seconds = process, check_seconds
        self.runs: dict[UUID, Run] = {}
        self.waiting: dict[UUID, Waiting] = {}
        self._stops: OrderedDict[UUID, str] = OrderedDict()
        self._task: asyncio.Task[None] | None = None
        self._assuring: dict[Run, asyncio.Task[None]] = {}

    def start(self) -> None:
        """Begin to beat, and to watch over suspects."""
        self._task = asyncio.create_task(self._watch())

    async def close(self) -> None:
        """Watch no more."""
        for task in filter(None, (self._task, *self._assuring.values())):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def add(self, run: Run) -> None:
        """A run begins; a stop that was heard before it takes effect at once, and who listened to it listens on."""
        self.runs[run.command.request_id] = run
        if self.waiting and (waiting := self.waiting.pop(run.command.request_id, None)):
            run.listeners = waiting.listeners

    def remove(self, run: Run) -> None:
        """A run ended."""
        if self.runs.get(run.command.request_id) is run:
            del self.runs[run.command.request_id]
        run.close()

    def stop_heard(self, request_id: UUID) -> str:
        """The reason of a stop that arrived before its request; empty where there was none."""
        return self._stops.get(request_id, "")

    def remember_stop(self, request_id: UUID, reason: str) -> None:
        """Keep it for the request's beginning."""
        self._stops[request_id] = reason
        while len(self._stops) > REMEMBERED:
            self._stops.popitem(last=False)

    async def on_cancel(self, cancel: CancelGeneration) -> None:
        """Every process hears each stop: the one that has the request ends it, all remember it."""
        self.remember_stop(cancel.request_id, cancel.reason)
        if held := self._held(cancel.request_id):
            held.stop(cancel.reason)

    async def on_attach(self, attach: AttachGeneration) -> None:
        """Serve a process that asks for what it lacks, if the request runs or waits here."""
        if held := self._held(attach.request_id):
            held.attach(attach.reply_to, attach.offsets, attach.most)

    async def on_find(self, find: FindGeneration) -> GenerationFound | None:
        """Answer only for what runs here, or waits if that is asked for, too, and never to ourselves."""
        run = self.runs.get(find.request_id)
        if find.asking == self.process:
            return None
        if run is None:
            waiting = None if find.at_work else self.waiting.get(find.request_id)
            return waiting.found() if waiting else None
        return None if run.superseded else run.found()

    def _held(self, request_id: UUID) -> Run | Waiting | None:
        return self.runs.get(request_id) or self.waiting.get(request_id)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self.check_seconds)
            for run in list(self.runs.values()):
                if not run.suspect:
                    run.beat()
                elif run not in self._assuring:  # beside the others, which beat on while the database is away
                    task = self._assuring[run] = asyncio.create_task(self._assure(run))
                    task.add_done_callback(partial(self._assured, run))

    def _assured(self, run: Run, _: "asyncio.Task[None]") -> None:
        self._assuring.pop(run, None)

    async def _assure(self, run: Run) -> None:
        try:
            await run.assure()
        except Superseded:
            log.info("generation.superseded", request_id=str(run.command.request_id), attempt=run.attempt)
            run.supersede()
        except Exception as error:
            log.warning("generation.unassured", request_id=str(run.command.request_id), reason=describe(error))
            run.supersede()
