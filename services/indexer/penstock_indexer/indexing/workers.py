"""Takes documents up one after another, and decides what becomes of one whose indexing fails."""

import asyncio
import contextlib
from dataclasses import dataclass

import structlog

from penstock_common.errors import DatabaseUnavailable, PenstockError, SubjectErased
from penstock_indexer.domain.errors import DocumentRefused, IndexingBroken, ParserDied
from penstock_indexer.indexing.document import Steps
from penstock_indexer.indexing.traced import document_span, in_trace_of
from penstock_indexer.metrics import DOCUMENTS
from penstock_indexer.ports import Claimed, Documents, Superseded

log = structlog.get_logger()

POLL_SECONDS = 1.0
MAX_ATTEMPTS = 3  # without progress, of a document that does not let itself be indexed
MAX_CLAIMS = 12  # without progress, where processes died under it: it is rarely the document's doing
PAUSE_SECONDS = 5.0  # before what may pass is tried again


@dataclass(frozen=True, slots=True)
class Pace:
    """How much this process takes on."""

    at_once: int = 2
    lease_seconds: float = 10.0
    """Seconds after which a document of a dead process is anyone's."""


class Workers:
    """Works on documents until it is stopped."""

    def __init__(self, documents: Documents, steps: Steps, pace: Pace) -> None:
        self.documents, self.steps, self.pace = documents, steps, pace
        self._nudged = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin."""
        self._tasks = [asyncio.create_task(self._run()) for _ in range(self.pace.at_once)]

    async def stop(self) -> None:
        """Hand back what is under way; what it achieved is kept."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def nudge(self) -> None:
        """There is something to do."""
        self._nudged.set()

    async def _run(self) -> None:
        while True:
            try:
                claimed = await self.documents.claim(self.pace.lease_seconds)
                if claimed:
                    with in_trace_of(claimed):
                        await self._work(claimed)
                    continue
            except PenstockError as error:
                log.warning("documents.unclaimed", reason=error.message)
            except Exception:
                log.exception("documents.unclaimed")
            await self._idle()

    async def _idle(self) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._nudged.wait(), POLL_SECONDS)
        self._nudged.clear()

    async def _work(self, claimed: Claimed) -> None:
        """Advance a document under its lease; whatever happens, it is not left claimed without cause."""
        if claimed.attempts > MAX_CLAIMS:
            await self._give_up(claimed, IndexingBroken())
            return
        working = asyncio.create_task(self._advance(claimed))
        renewing = asyncio.create_task(self._renew(claimed, working))
        try:
            await self._settle(claimed, working)
        finally:
            renewing.cancel()

    async def _advance(self, claimed: Claimed) -> bool:
        with document_span(claimed):
            return await self.steps.advance(claimed)

    async def _settle(self, claimed: Claimed, working: "asyncio.Task[bool]") -> None:
        try:
            await asyncio.wait({working})
        except asyncio.CancelledError:
            working.cancel()
            await asyncio.wait({working})
            await asyncio.shield(self._hand_back(claimed))
            raise
        if working.cancelled() or isinstance(error := working.exception(), Superseded):
            log.info("document.superseded", document_id=str(claimed.id))
        elif error:
            await self._failed(claimed, error)
        elif working.result():
            DOCUMENTS.labels("indexed").inc()
        else:
            DOCUMENTS.labels("paused").inc()
            await self._hand_back(claimed)

    async def _renew(self, claimed: Claimed, working: "asyncio.Task[bool]") -> None:
        while True:
            await asyncio.sleep(self.pace.lease_seconds / 3)
            try:
                await self.documents.renew(claimed, self.pace.lease_seconds)
            except Superseded:
                working.cancel()
                return
            except PenstockError as error:
                log.warning("lease.unrenewed", document_id=str(claimed.id), reason=error.message)

    async def _hand_back(self, claimed: Claimed) -> None:
        with contextlib.suppress(Superseded, DatabaseUnavailable):
            await self.documents.release(claimed, 0.0, is_fault=False)

    async def _failed(self, claimed: Claimed, error: BaseException) -> None:
        if not isinstance(error, PenstockError):
            log.error("document.broken", document_id=str(claimed.id), exc_info=error)
            error = IndexingBroken()
        is_final = isinstance(error, DocumentRefused | SubjectErased) or not error.fault.passes
        is_fault = isinstance(error, ParserDied | IndexingBroken)
        if is_final or (is_fault and claimed.attempts >= MAX_ATTEMPTS):
            await self._give_up(claimed, error)
            return
        log.warning("document.delayed", document_id=str(claimed.id), code=error.code, reason=error.message)
        DOCUMENTS.labels("delayed").inc()
        delay = PAUSE_SECONDS if not is_fault else float(claimed.attempts)
        with contextlib.suppress(Superseded):
            await self.documents.release(claimed, delay, is_fault=is_fault, code=error.code, error=error.message)

    async def _give_up(self, claimed: Claimed, error: PenstockError) -> None:
        log.warning("document.failed", document_id=str(claimed.id), code=error.code, reason=error.message)
        DOCUMENTS.labels("failed").inc()
        with contextlib.suppress(Superseded):
            await self.documents.fail(claimed, error.code, error.message)
