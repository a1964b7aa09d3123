"""Lets requests of one lane in: at once where a slot is free, else in a fair order, or not at all."""

from uuid import UUID

import structlog

from penstock_common.contracts.generation import GenerateText
from penstock_common.errors import DatabaseUnavailable
from penstock_common.messaging.delivery import HandBack
from penstock_common.periodic import Periodic
from penstock_inference.admission import metrics
from penstock_inference.admission.refusing import overloaded, turn_away
from penstock_inference.admission.ticket import Ticket
from penstock_inference.domain.fair_queue import FairQueue, Party
from penstock_inference.domain.queue import Pace
from penstock_inference.domain.seats import ENTERPRISE, Seats, Size
from penstock_inference.generating.attempt import AGAIN_SECONDS
from penstock_inference.generating.generator import FORGETFUL_SECONDS, Generator, since_sent

log = structlog.get_logger()

LOOK_SECONDS = 1.0
DOUBTFUL_SECONDS = 6.0  # after as much silence api sends a command again: another process may have begun it
STALE_SECONDS = 5.0  # without anything that waited: the pace of before says little
TURNED_AWAY = 256  # at once; as many ends are recorded together
CLOSING_SECONDS = 1.0  # by then this process receives no more
ENTERPRISE_WEIGHT = 4
BEGUN, USUAL = 0, 1  # ranks: of one tenant's requests, those whose answers may have been begun go first


class Admission:
    """The slots of one lane in one process, and what waits for them."""

    def __init__(
        self, name: str, size: Size, generator: Generator, *, enterprise_weight: int = ENTERPRISE_WEIGHT
    ) -> None:
        self.name, self.size, self.generator = name, size, generator
        self.seats, self.queue = Seats(size), FairQueue[Ticket]()
        self._weights = {True: enterprise_weight, False: 1}
        self._tickets: dict[UUID, Ticket] = {}
        self.waiting_bytes = 0
        """Of the sealed bodies of what waits."""
        self._pace, self._ended, self._closing = Pace(), 0, False
        self._looking = Periodic(LOOK_SECONDS, self.look, "admission.failed")
        metrics.SLOTS.labels(name).set(size.slots)
        metrics.RUNNING.labels(name).set_function(lambda: self.seats.taken)
        metrics.WAITING.labels(name).set_function(lambda: len(self.queue))

    @property
    def held(self) -> int:
        """Requests that this process receives at once: those beyond its size are turned away meanwhile."""
        return self.size.slots + self.size.waiting + TURNED_AWAY

    def start(self) -> None:
        """Begin to look after what waits."""
        self._looking.start()

    async def stop(self) -> None:
        """Look no more."""
        await self._looking.stop()

    def close(self) -> None:
        """Hand back what waits, and let nothing wait any more."""
        self._closing = True
        for ticket in self._tickets.values():
            ticket.hand_back(HandBack(CLOSING_SECONDS))

    async def handle(self, command: GenerateText, *, redelivered: bool) -> None:
        """Have a command answered once there is a slot. Raises HandBack where that is not to be here, or not now."""
        if not self.seats.take(command.tenant, command.tier):
            await self._handle_later(command, redelivered)
            return
        try:
            await self.generator.handle(command, redelivered=redelivered)
        finally:
            self._leave(command)

    async def _handle_later(self, command: GenerateText, redelivered: bool) -> None:
        if self._closing:
            raise HandBack(CLOSING_SECONDS)
        is_begun = redelivered or command.republished or since_sent(self.generator, command) > FORGETFUL_SECONDS
        if not is_begun and self.generator.records.stalled:  # which is refused by itself, with or without a slot
            await self.generator.handle(command, redelivered=False)
            return
        party = party_of(command)
        if not is_begun and (reason := self._refusal(party)):
            metrics.REFUSED.labels(self.name).inc()
            await turn_away(self.generator, command, overloaded(reason, self._seconds_for(len(self.queue))))
            return
        ticket = self._enter(Ticket(command, self, is_begun=is_begun), party)
        try:
            await self._called(ticket)
            await self._go_on(ticket)
        finally:
            self._done(ticket)

    def _refusal(self, party: Party) -> str:
        return self.size.refusal(len(self.queue), self.queue.waiting(party), self.waiting_bytes)

    def _enter(self, ticket: Ticket, party: Party) -> Ticket:
        """Wait, instead of an earlier delivery of the same request, if there is one: the bus took that back."""
        request_id, is_busy = ticket.request_id, self.seats.has(ticket.command.tenant)
        if former := self._tickets.get(request_id):
            if not self._take_out(former):  # it goes on just now
                raise HandBack(AGAIN_SECONDS)
            ticket.listeners = former.listeners
            former.hand_back(HandBack(AGAIN_SECONDS))
        if not self.queue:
            self._measure()
        rank = BEGUN if ticket.is_begun else USUAL
        ticket.place = self.queue.add(ticket, party, self._weights[party.is_reserved], rank=rank, is_busy=is_busy)
        self._tickets[request_id] = self.generator.registry.waiting[request_id] = ticket
        return ticket

    async def _called(self, ticket: Ticket) -> None:
        """Wait for its turn, or for what ends it without one. Raises HandBack."""
        size = len(ticket.command.sealed)
        self.waiting_bytes += size
        try:
            await ticket.called
        finally:
            self.waiting_bytes -= size

    async def _go_on(self, ticket: Ticket) -> None:
        """With a slot, or to its end without one."""
        if ticket.seated:
            metrics.WAITED.labels(self.name).observe(ticket.waited)
            if not ticket.is_begun:
                await self._be_first(ticket)
        await self.generator.handle(ticket.sent(), redelivered=ticket.is_begun)

    async def _be_first(self, ticket: Ticket) -> None:
        """Raise HandBack where another process began it while it waited: this delivery may have been taken back."""
        needs = self.generator
        if ticket.epoch == needs.shared.lease.epoch() and ticket.waited < DOUBTFUL_SECONDS:
            return
        try:
            is_first = await needs.records.confirm(ticket.command, 1, needs.process)
        except DatabaseUnavailable as error:
            raise HandBack(AGAIN_SECONDS) from error
        if not is_first:
            raise HandBack(AGAIN_SECONDS)

    def _done(self, ticket: Ticket) -> None:
        if self._tickets.get(ticket.request_id) is ticket:
            del self._tickets[ticket.request_id]
            self.generator.registry.waiting.pop(ticket.request_id, None)
        if ticket.seated:
            self._leave(ticket.command)
        else:
            self._take_out(ticket)

    def _leave(self, command: GenerateText) -> None:
        self.seats.leave(command.tenant, command.tier)
        self._ended += 1
        if self.queue:
            self._seat_next()

    def _seat_next(self) -> None:
        while (ticket := self._next()) is not None:
            self.seats.take(ticket.command.tenant, ticket.command.tier)
            ticket.seat()

    def _next(self) -> Ticket | None:
        if self.seats.is_open:
            return self.queue.pop()
        return self.queue.pop(reserved=True) if self.seats.is_free else None

    def dismiss(self, ticket: Ticket) -> None:
        """Have it go on without a slot: it ends without an engine's call."""
        if self._take_out(ticket):
            ticket.call()

    def _take_out(self, ticket: Ticket) -> bool:
        return ticket.place is not None and self.queue.remove(ticket.place)

    def standing(self, ticket: Ticket) -> tuple[int, float | None] | None:
        """Its position from 1 and the seconds until its turn; None where it waits no more."""
        if ticket.place is None or ticket.called.done():
            return None
        position = self.queue.position(ticket.place)
        return position, self._seconds_for(position)

    def _seconds_for(self, places: int) -> float | None:
        return self._pace.seconds_for(places, self.generator.clock.now())

    def _measure(self) -> None:
        """Something waits from now on: what ends while nothing does says little of the pace."""
        now, last = self.generator.clock.now(), self._pace.measured_at
        if last is None or (now - last).total_seconds() > STALE_SECONDS:
            self._pace, self._ended = Pace().after(0, now), 0
            log.info("lane.full", lane=self.name, slots=self.size.slots)

    async def look(self) -> None:
        """End what is past its deadline, and show the others' listeners that they are there."""
        if not self._tickets:
            return
        now = self.generator.clock.now()
        self._pace, self._ended = self._pace.after(self._ended, now), 0
        for ticket in list(self._tickets.values()):
            if now >= ticket.command.deadline:
                self.dismiss(ticket)
            elif not ticket.called.done():
                ticket.beat()


def party_of(command: GenerateText) -> Party:
    """Who takes turns with a request."""
    return Party(command.tenant, command.tier == ENTERPRISE)
