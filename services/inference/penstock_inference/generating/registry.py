"""What this process runs now: found by request id for stops, re-attachments and questions."""

import asyncio
import contextlib
from collections import OrderedDict
from functools import partial
from uuid import UUID

import structlog

from penstock_common.contracts.generation import AttachGeneration, CancelGeneration, FindGeneration, GenerationFound
from penstock_common.messaging.deadletter import describe
from penstock_inference.generating.run import Run, Superseded

log = structlog.get_logger()

CHECK_SECONDS = 1.0
REMEMBERED = 10_000  # stops heard for requests that have not begun here


class Registry:
    """The running attempts of one process."""

    def __init__(self, process: str, check_seconds: float = CHECK_SECONDS) -> None:
        self.process, self.check_seconds = process, check_seconds
        self.runs: dict[UUID, Run] = {}
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
        """A run begins; a stop that was heard before it takes effect at once."""
        self.runs[run.command.request_id] = run

    def remove(self, run: Run) -> None:
        """A run ended."""
        if self.runs.get(run.command.request_id) is run:
            del self.runs[run.command.request_id]
        run.close()

    def stop_heard(self, request_id: UUID) -> str:
        """The reason of a stop that arrived before its request; empty where there was none."""
        return self._stops.get(request_id, "")

    async def on_cancel(self, cancel: CancelGeneration) -> None:
        """Every process hears each stop: the one that runs the request ends it, all remember it."""
        self._stops[cancel.request_id] = cancel.reason
        while len(self._stops) > REMEMBERED:
            self._stops.popitem(last=False)
        if run := self.runs.get(cancel.request_id):
            run.stop(cancel.reason)

    async def on_attach(self, attach: AttachGeneration) -> None:
        """Serve a process that asks for what it lacks, if the request runs here."""
        if run := self.runs.get(attach.request_id):
            run.attach(attach.reply_to, attach.offsets, attach.most)

    async def on_find(self, find: FindGeneration) -> GenerationFound | None:
        """Answer only for what runs here, and never to ourselves."""
        run = self.runs.get(find.request_id)
        if run is None or find.asking == self.process or run.superseded:
            return None
        return run.found()

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
