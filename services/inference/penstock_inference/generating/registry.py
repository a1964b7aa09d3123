"""What this process runs now: found by request id for stops, re-attachments and questions."""

import asyncio
import contextlib
from collections import OrderedDict
from uuid import UUID

import structlog

from penstock_common.contracts.generation import AttachGeneration, CancelGeneration, FindGeneration, GenerationFound
from penstock_inference.generating.run import Run, Superseded

log = structlog.get_logger()

CHECK_SECONDS = 1.0
REMEMBERED = 10_000  # stops heard for requests that have not begun here


class Registry:
    """The running attempts of one process."""

    def __init__(self, process: str) -> None:
        self.process = process
        self.runs: dict[UUID, Run] = {}
        self._stops: OrderedDict[UUID, str] = OrderedDict()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to beat, and to watch over suspects."""
        self._task = asyncio.create_task(self._watch())

    async def close(self) -> None:
        """Watch no more."""
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def add(self, run: Run) -> None:
        """A run begins; a stop that was heard before it takes effect at once."""
        self.runs[run.command.request_id] = run

    def remove(self, run: Run) -> None:
        """A run ended."""
        self.runs.pop(run.command.request_id, None)
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
            run.attach(attach.reply_to, attach.offsets)

    async def on_find(self, find: FindGeneration) -> GenerationFound | None:
        """Answer only for what runs here, and never to ourselves."""
        run = self.runs.get(find.request_id)
        if run is None or find.asking == self.process or run.superseded:
            return None
        return GenerationFound(request_id=find.request_id, process=self.process, attempt=run.attempt)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            for run in list(self.runs.values()):
                if run.suspect:
                    await self._assure(run)
                else:
                    run.beat()

    async def _assure(self, run: Run) -> None:
        try:
            await run.assure()
        except Superseded:
            log.info("generation.superseded", request_id=str(run.command.request_id), attempt=run.attempt)
            run.supersede()
        except TimeoutError:
            log.warning("generation.unassured", request_id=str(run.command.request_id))
            run.supersede()
