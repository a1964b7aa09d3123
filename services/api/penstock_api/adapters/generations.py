"""Accepts requests, and receives the answers of all of them in one inbox."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar
from uuid import UUID

import msgspec
import structlog

from penstock_api import metrics
from penstock_api.adapters.cancels import Cancels
from penstock_api.adapters.idempotency import Claim, IdempotencyKeys
from penstock_api.adapters.leaving import Leaving
from penstock_api.adapters.open_generation import OpenGeneration, Request
from penstock_api.adapters.open_table import OpenTable
from penstock_api.adapters.requests_log import RequestsLog
from penstock_api.domain.answer import Answer
from penstock_api.domain.errors import Busy, Stopping
from penstock_api.ports.generations import Asked, Generation, Known
from penstock_common.asking.commands import outgoing_of
from penstock_common.asking.recovery import Recovery
from penstock_common.clock import Clock
from penstock_common.contracts.base import Decision, decode, encode
from penstock_common.contracts.generation import About, ApiLives, FindRequest, GenerateText, OnDisconnect, RequestFound
from penstock_common.contracts.stream import pack, unpack
from penstock_common.errors import BusUnavailable, ContractViolated, PenstockError
from penstock_common.ids import text_of, time_of
from penstock_common.messaging.ports import Bus, Subscription
from penstock_common.periodic import Periodic
from penstock_common.sealing import Sealer
from penstock_common.topology import API_LIVES, FIND_REQUEST

log = structlog.get_logger()

T = TypeVar("T")

PUBLISH_SECONDS = 1.8  # without the bus's word by then, the client hears 503 within two seconds
LARGE_BODY = 256 * 1024  # bytes; sealing more than that would hold up the loop
MOST_ANSWER = 4 << 20  # bytes of packed frames: in base64 they fit one bus message
MOST_CLIENTS = 64  # of one request in one process: each holds the whole text
LIVES_SECONDS = 2.0
EXPIRY_SECONDS = 0.5  # one look at all requests instead of a timer each
COME_BACK_SECONDS = 10.0  # of a client that was dropped for reading too slowly


@dataclass(frozen=True, slots=True)
class Outlets:
    """Where what this process learns of requests is written, off their path."""

    requests: RequestsLog
    cancels: Cancels
    names: IdempotencyKeys


@dataclass(frozen=True, slots=True)
class Limits:
    """How many requests a process holds, and for how many seconds each may be worked on."""

    max_open: int
    answer_seconds: float


class OpenGenerations:
    """Every request that this process holds open, by its id."""

    def __init__(self, process: str, bus: Bus, sealer: Sealer, clock: Clock, outlets: Outlets, limits: Limits) -> None:
        self.process, self.bus, self.sealer, self.clock = process, bus, sealer, clock
        self.outlets, self.limits = outlets, limits
        self._open = OpenTable()
        self._closing = False
        self._recovery = Recovery(process, bus, lambda: self._open, self._open.of)
        self._leaving = Leaving(process, bus, outlets.cancels, self._open)
        self._living = Periodic(LIVES_SECONDS, self._live, "life.unsaid")
        self._expiring = Periodic(EXPIRY_SECONDS, self._expire, "requests.unexpired")
        self._subscriptions: list[Subscription] = []

    async def start(self) -> None:
        """Open the inbox. Raises BusUnavailable."""
        self._subscriptions = [
            await self.bus.receive(self.process, self._receive),
            await self.bus.answer(FIND_REQUEST, self._find, everyone=True),
        ]
        await self._recovery.start()
        self._living.start()
        self._expiring.start()

    async def stop(self) -> None:
        """Accept and receive no more."""
        self._closing = True
        await self._living.stop()
        await self._expiring.stop()
        await self._recovery.stop()
        await self._leaving.stop()
        await asyncio.gather(*(s.stop() for s in self._subscriptions), return_exceptions=True)

    async def begin(self, asked: Asked) -> Generation:
        """Accept a request: the bus has it. Raises Busy, Stopping, BusUnavailable, MessageTooLarge.

        One that names a request of before by its idempotency key waits for that one's answer; raises
        IdempotencyKeyReused where it is another request, DatabaseUnavailable.
        """
        self._require_room()
        request_id = await self._named(asked) if asked.idempotency_key else asked.request_id
        if request_id != asked.request_id:
            return await self._attached(msgspec.structs.replace(asked, request_id=request_id))
        command = await self._command(asked)
        if not self.bus.connected:
            self.outlets.requests.refused(command, self.clock.now())
            raise BusUnavailable
        generation = self._opened(request_of(command), Answer(streamed=command.streamed), self.limits.answer_seconds)
        try:
            await self.bus.publish(outgoing_of(command, asked.traceparent), PUBLISH_SECONDS)
        except BaseException as error:
            self.end(generation)
            self._unaccepted(command, error)
            raise
        self.outlets.requests.accepted(command)
        return generation

    async def resume(self, known: Known, answer: Answer) -> Generation:
        """Wait for the answer of a request that any process accepted. Raises Busy, Stopping, BusUnavailable."""
        self._require_room()
        if len(self._open.of(str(known.request_id))) >= MOST_CLIENTS:
            raise Busy
        if not self.bus.connected:
            raise BusUnavailable
        left = (known.about.deadline - self.clock.now()).total_seconds()
        generation = self._opened(Request(known.request_id, known.about), answer, max(left, 0.0))
        generation.recorded = known.has_ended
        self._recovery.begin(generation)
        return generation

    def held(self, request_id: UUID) -> RequestFound | None:
        """What this process knows of a request that it holds open."""
        holders = self._open.of(str(request_id))
        if not holders:
            return None
        attempt = max(holder.answer.attempt if holder.heard else 0 for holder in holders)
        return RequestFound(request_id=request_id, process=self.process, about=holders[0].about, attempt=attempt)

    def _require_room(self) -> None:
        if self._closing:
            raise Stopping
        if len(self._open) >= self.limits.max_open:
            raise Busy

    async def _named(self, asked: Asked) -> UUID:
        """The request that the idempotency key stands for."""
        tenant = asked.tenant
        key_mac = self.sealer.mac(tenant, asked.idempotency_key.encode())
        body_mac = await beside_loop(len(asked.body) >= LARGE_BODY, lambda: self.sealer.mac(tenant, asked.body))
        return await self.outlets.names.claim(Claim(tenant, key_mac, body_mac, asked.request_id))

    async def _attached(self, asked: Asked) -> Generation:
        """Wait for the answer of a request that was accepted before; it is published again if nobody knows of it."""
        if not self.bus.connected:
            raise BusUnavailable
        command = await self._command(asked, time_of(asked.request_id))
        request = request_of(command, repeated=True)
        generation = self._opened(request, Answer(streamed=command.streamed), self.limits.answer_seconds)
        generation.unknown = 1
        self._recovery.begin(generation)
        return generation

    def _opened(self, request: Request, answer: Answer, seconds: float) -> OpenGeneration:
        generation = OpenGeneration(request, answer, seconds, self._recovery.begin)
        self._open.add(generation)
        metrics.OPEN.inc()
        return generation

    def end(self, generation: Generation) -> None:
        """The client has its answer, or nobody waits for it."""
        assert isinstance(generation, OpenGeneration)
        if self._open.remove(generation):
            metrics.OPEN.dec()
        generation.close()

    def client_left(self, generation: Generation) -> None:
        """Nobody reads the answer any more: stop the generation, unless it was asked to go on or others read it."""
        self._left(generation, "the client left", 0.0)

    def dropped(self, generation: Generation) -> None:
        """The client read too slowly, and has a while to come back."""
        metrics.SLOW_READERS.inc()
        self._left(generation, "the client read too slowly", COME_BACK_SECONDS)

    def _left(self, generation: Generation, reason: str, after: float) -> None:
        assert isinstance(generation, OpenGeneration)
        if generation.about.on_disconnect is OnDisconnect.CANCEL and generation.answer.end is None:
            self._leaving.left(generation.request, reason, after)

    def abandoned(self, generation: Generation) -> None:
        """The answer can't be used: stop a generation that still runs, unless others read it."""
        assert isinstance(generation, OpenGeneration)
        if generation.answer.end is None and generation.command is not None:
            self._leaving.left(generation.request, "the answer could not be relayed")

    def lost(self, generation: Generation) -> None:
        """Nothing was heard of a generation until its deadline."""
        assert isinstance(generation, OpenGeneration)
        log.error("generation.lost", request_id=str(generation.request_id))
        if generation.command is not None:
            self.outlets.requests.lost(generation.command, self.clock.now())

    async def _expire(self) -> None:
        now = asyncio.get_running_loop().time()
        for generation in self._open:
            generation.expire(now)

    async def _live(self) -> None:
        await self.bus.broadcast(API_LIVES, encode(ApiLives(process=self.process), API_LIVES.wire))

    async def _find(self, body: bytes) -> bytes | None:
        """Answer only for what is open here, and never to ourselves."""
        find = decode(FindRequest, body)
        found = self.held(find.request_id)
        if found is None or find.asking == self.process:
            return None
        return encode(with_answer(found, self._open.of(str(find.request_id))) if find.with_answer else found)

    def _receive(self, key: str, body: bytes) -> None:
        waiting = self._open.of(key)
        if not waiting:
            return
        try:
            frames = unpack(body)
        except ContractViolated as error:
            log.error("stream.unreadable", request_id=key, reason=error.message)
            return
        for generation in waiting:
            generation.feed(frames)
            if generation.gapped:
                self._recovery.begin(generation)

    def _unaccepted(self, command: GenerateText, error: BaseException) -> None:
        """No word came from the bus: it may have the request all the same, and nobody waits for its answer."""
        self.outlets.requests.refused(command, self.clock.now())
        if isinstance(error, BusUnavailable) or not isinstance(error, PenstockError):
            self._leaving.cancel(request_of(command), "it was refused: the bus gave no word in time")

    async def _command(self, asked: Asked, accepted_at: datetime | None = None) -> GenerateText:
        now = self.clock.now()
        sealed, mac = await beside_loop(len(asked.body) >= LARGE_BODY, lambda: self._sealed(asked))
        return asked.contract(
            request_id=asked.request_id,
            tenant=asked.tenant,
            key_id=asked.key_id,
            model=asked.model,
            asked=asked.asked if asked.asked != asked.model else "",
            includes_usage=asked.includes_usage,
            catalogue_version=asked.catalogue_version,
            sealed=sealed,
            body_mac=mac,
            streamed=asked.streamed,
            reply_to=self.process,
            accepted_at=accepted_at or now,
            deadline=now + timedelta(seconds=self.limits.answer_seconds),
            on_disconnect=asked.on_disconnect,
            tier=asked.tier,
            decisions=[*asked.decisions, Decision("accept", "interactive", self.process)],
        )

    def _sealed(self, asked: Asked) -> tuple[bytes, str]:
        context = text_of(asked.request_id)
        return self.sealer.seal(asked.tenant, context, asked.body), self.sealer.mac(asked.tenant, asked.body)


def request_of(command: GenerateText, *, repeated: bool = False) -> Request:
    """A request that this process accepted."""
    return Request(command.request_id, About.of(command), command, repeated)


def with_answer(found: RequestFound, holders: Sequence[OpenGeneration]) -> RequestFound:
    """What the client that has most of the answer has of it; it may begin anew only where every client takes that."""
    delivered = (pack(holder.answer.delivered_frames()) for holder in holders)
    most = max((packed for packed in delivered if len(packed) <= MOST_ANSWER), key=len, default=b"")
    restarts = all(holder.answer.restarts for holder in holders)
    return msgspec.structs.replace(found, answer=most, restarts=restarts)


async def beside_loop(beside: bool, work: Callable[[], T]) -> T:
    """Run small work here, large work in a thread."""
    return await asyncio.to_thread(work) if beside else work()
