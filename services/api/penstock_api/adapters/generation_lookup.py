"""Finds what became of a request: its generator, its row, whoever holds it open, and last api's own history."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from penstock_api.adapters.asking import ask_owner
from penstock_api.adapters.request_history import RequestHistory
from penstock_api.domain.inference import InferenceNotFound
from penstock_api.ports.generations import QUEUED, RUNNING, Known
from penstock_common.contracts.generation import (
    MOST_READ,
    CancelGeneration,
    FindGeneration,
    FindRequest,
    GenerationFound,
    GenerationState,
    GenerationStates,
    ReadGenerations,
    RequestFound,
)
from penstock_common.db.transaction import Database
from penstock_common.errors import BusUnavailable, DatabaseUnavailable, NoAnswer
from penstock_common.gathering import Gathering
from penstock_common.ids import time_of
from penstock_common.messaging.ports import Bus

FIND_SECONDS = 0.4
PATIENT_SECONDS = 1.5  # where the records are silent: whoever runs it may be slow for the same reason
READ_SECONDS = 1.0
READS_AT_ONCE = 4  # so that one inference process that does not answer holds up a part of those who ask
YOUNG = timedelta(hours=1)  # a request may run that its api process did not live to write down
BEGUN_POLL = 0.25  # seconds
STOP_SECONDS = 2.0  # how long an answer waits for the end that was asked for
STOP_POLL = 0.05  # seconds


@dataclass
class GenerationLookup:
    """Implements `Lookup`."""

    process: str
    bus: Bus
    database: Database
    history: RequestHistory
    held: Callable[[UUID], RequestFound | None]
    """What this process knows of a request that it holds open itself."""

    def __post_init__(self) -> None:
        self._states: Gathering[UUID, GenerationState] = Gathering(self._read, most=MOST_READ, at_once=READS_AT_ONCE)

    async def find(self, tenant: UUID, request_id: UUID) -> Known:
        """The state now. Raises InferenceNotFound, BusUnavailable, NoAnswer, DatabaseUnavailable."""
        known = await self._known(request_id)
        if known is None or known.about.tenant != tenant:
            raise InferenceNotFound
        return known

    async def begun(self, tenant: UUID, request_id: UUID) -> Known:
        """What a client who reads the answer must know; waits while only api's history knows of it.

        Raises InferenceNotFound, BusUnavailable, NoAnswer, DatabaseUnavailable.
        """
        while not (known := await self.find(tenant, request_id)).is_complete:
            if known.has_ended:  # says api's own history, which keeps no answers: inference may have been silent
                return await self._recorded(request_id) or known
            await asyncio.sleep(BEGUN_POLL)
        return known

    async def stop(self, tenant: UUID, request_id: UUID) -> Known:
        """Stop it for good, and give its state once it has ended, or two seconds later."""
        known = await self.find(tenant, request_id)
        if known.has_ended:
            return known
        async with self.database.transaction() as tx:
            tx.publish(CancelGeneration(request_id=request_id, tenant=tenant, reason="its owner stopped it"))
        with suppress(TimeoutError, NoAnswer, BusUnavailable):  # the stop is kept: its outcome is told later
            async with asyncio.timeout(STOP_SECONDS):
                while not known.has_ended:
                    await asyncio.sleep(STOP_POLL)
                    known = await self._recorded(request_id) or known
        return known

    async def _known(self, request_id: UUID) -> Known | None:
        if known := await self._ended(request_id):
            with suppress(NoAnswer, BusUnavailable):
                return await self._recorded(request_id) or known
            return known
        held = asyncio.create_task(self._held(request_id))
        asked = [asyncio.create_task(ask(request_id)) for ask in (self._recorded, self._running)]
        try:
            return await self._first(request_id, asked, held)
        finally:
            for task in (*asked, held):
                task.cancel()
            await asyncio.gather(*asked, held, return_exceptions=True)

    async def _ended(self, request_id: UUID) -> Known | None:
        """From the history, which costs one statement; whoever is asked about most has ended long ago."""
        with suppress(DatabaseUnavailable):
            return await self.history.ended(request_id)
        return None

    async def _first(
        self, request_id: UUID, asked: "list[asyncio.Task[Known | None]]", held: "asyncio.Task[Known | None]"
    ) -> Known | None:
        silence: NoAnswer | None = None
        for answer in asyncio.as_completed(asked):
            try:
                if known := await answer:
                    return known
            except NoAnswer as error:
                silence = error
        if silence is not None and (known := await self._running(request_id, PATIENT_SECONDS)):
            return known
        known = await held or await self.history.find(request_id)
        if known is None and silence is not None:
            raise silence
        if known is None and datetime.now(UTC) - time_of(request_id) < YOUNG:
            return await self._running(request_id, PATIENT_SECONDS)
        if known is None or known.has_ended or silence is not None:
            return known
        return await self._recorded(request_id) or known  # it may have ended between the answers

    async def _recorded(self, request_id: UUID) -> Known | None:
        state = await self._states.find(request_id)
        return Known(state.about, state) if state and state.about else None

    async def _read(self, request_ids: Sequence[UUID]) -> dict[UUID, GenerationState]:
        question = ReadGenerations(request_ids=list(request_ids))
        answer = await ask_owner(self.bus, question, GenerationStates, READ_SECONDS)
        return {state.request_id: state for state in answer.states}

    async def _running(self, request_id: UUID, seconds: float = FIND_SECONDS) -> Known | None:
        find = FindGeneration(request_id=request_id, asking=self.process)
        try:
            found = await ask_owner(self.bus, find, GenerationFound, seconds)
        except NoAnswer:
            return None
        if found.about is None:
            return None
        state = GenerationState(
            request_id=request_id,
            outcome=RUNNING if found.attempt else QUEUED,
            attempt=found.attempt,
            position=found.position,
            expected_wait_seconds=found.expected_wait_seconds,
            started_at=found.started_at,
            first_token_at=found.first_token_at,
            decisions=found.decisions,
        )
        return Known(found.about, state)

    async def _held(self, request_id: UUID) -> Known | None:
        find = FindRequest(request_id=request_id, asking=self.process)
        try:
            return waiting(self.held(request_id) or await ask_owner(self.bus, find, RequestFound, FIND_SECONDS))
        except NoAnswer:
            return None


def waiting(found: RequestFound) -> Known | None:
    """A request whose client waits for it: it runs if that one has heard of it."""
    if found.about is None:
        return None
    outcome = RUNNING if found.attempt else QUEUED
    return Known(found.about, GenerationState(request_id=found.request_id, outcome=outcome, attempt=found.attempt))
