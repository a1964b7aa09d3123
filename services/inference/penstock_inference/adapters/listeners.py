"""`Listeners` over the bus: the inboxes of api processes, and two questions asked of everyone."""

import contextlib
from uuid import UUID

import structlog

from penstock_common.contracts.base import decode, encode
from penstock_common.contracts.generation import FindGeneration, FindRequest, GenerationTakenOver, RequestFound
from penstock_common.contracts.stream import Frame, pack, unpack
from penstock_common.errors import BusUnavailable, MessageTooLarge, NoAnswer
from penstock_common.ids import text_of
from penstock_common.messaging.ports import Bus
from penstock_common.topology import FIND_GENERATION, FIND_REQUEST, GENERATION_TAKEN_OVER
from penstock_inference.domain.takeover import Held, output_of

log = structlog.get_logger()

FIND_SECONDS = 0.3
WAITS_SECONDS = 1.0  # whoever is not found to wait loses the rest of its answer
MESSAGE_FRAMES = 16  # of 64 Ki characters at most: with four bytes each, half of what a bus message may hold


class BusListeners:
    """Implements `Listeners`."""

    def __init__(self, bus: Bus, process: str) -> None:
        self.bus, self.process = bus, process

    def send(self, process: str, request_id: UUID, frames: list[Frame]) -> bool:
        """Best effort, in order; False where it surely did not leave."""
        key = text_of(request_id)
        try:
            for at in range(0, len(frames), MESSAGE_FRAMES):
                self.bus.send(process, key, pack(frames[at : at + MESSAGE_FRAMES]))
        except BusUnavailable:
            return False
        except MessageTooLarge as error:
            log.error("frames.unsendable", request_id=str(request_id), reason=error.message)
            return False
        return True

    async def anyone_waits(self, request_id: UUID) -> bool:
        """Whether an api process holds this request open; True also where nobody can be asked now."""
        find = FindRequest(request_id=request_id)
        with contextlib.suppress(BusUnavailable):
            try:
                await self.bus.query(FIND_REQUEST, encode(find), WAITS_SECONDS)
            except NoAnswer:
                return False
        return True

    async def held(self, request_id: UUID) -> Held | None:
        """What an api process that holds this request open has of its answer. Raises BusUnavailable."""
        find = FindRequest(request_id=request_id, with_answer=True)
        try:
            body = await self.bus.query(FIND_REQUEST, encode(find), WAITS_SECONDS)
        except NoAnswer:
            return None
        found = decode(RequestFound, body)
        return Held(output_of(unpack(found.answer) if found.answer else []), found.restarts)

    async def owner_lives(self, request_id: UUID) -> bool:
        """Whether another process runs this request."""
        find = FindGeneration(request_id=request_id, asking=self.process, at_work=True)
        try:
            await self.bus.query(FIND_GENERATION, encode(find), FIND_SECONDS)
        except (NoAnswer, BusUnavailable):
            return False
        return True

    async def took_over(self, request_id: UUID, attempt: int) -> None:
        """Tell every api process; where the bus is away, those who wait for this request notice by themselves."""
        taken = GenerationTakenOver(request_id=request_id, process=self.process, attempt=attempt)
        with contextlib.suppress(BusUnavailable):
            await self.bus.broadcast(GENERATION_TAKEN_OVER, encode(taken))
