"""What can be said of a dead letter beyond its row: its payload by its contract, and what a retry would do."""

from dataclasses import dataclass

from penstock_api.domain.dead_letter_payload import Shown, shown
from penstock_api.domain.dead_letters import WholeLetter
from penstock_api.ports.dead_letters import Foresight
from penstock_common.contracts.base import Wire, decode, encode
from penstock_common.contracts.operating import FindHandled, HandledFound
from penstock_common.errors import BusUnavailable, NoAnswer
from penstock_common.messaging.envelope import CONTENT_TYPE, FINGERPRINT, WIRES
from penstock_common.messaging.ports import Bus
from penstock_common.messaging.topology import Consumer, Topology

ASK_SECONDS = 1.0

GONE = Foresight("unknown", "The consumer does not exist any more: it can't be tried again.")
SKIPPED = "The consumer has handled this message already, at {at}: its inbox would skip it, and nothing would change."
CONFLICTING = "The consumer has handled another content under this id, at {at}: it would be refused once more."
FRESH = "The consumer has not handled this message: it would take effect."
OWN_RECORD = "The consumer has no inbox; its own record of what has ended decides, and ends nothing twice."
SILENT = "{service} does not say whether it was handled before ({reason}); the inbox decides when it is tried again."


@dataclass(frozen=True, slots=True)
class LetterReader:
    """Knows the contracts, and asks the services."""

    bus: Bus
    topology: Topology

    def payload(self, whole: WholeLetter, *, original: bool = False) -> Shown:
        """The payload that the next attempt gets, or the original."""
        topic = self.topology.of_subject(whole.letter.subject)
        wire = WIRES.get(whole.headers.get(CONTENT_TYPE, Wire.JSON.value), Wire.JSON)
        return shown(whole.body if original else whole.current, topic.contract if topic else None, wire)

    async def foresee(self, whole: WholeLetter) -> Foresight:
        """What a retry would do now, asked of the consumer's service."""
        lane = self.topology.row(whole.letter.consumer)
        if lane is None:
            return GONE
        if not lane.has_inbox:
            return Foresight("unknown", OWN_RECORD)
        try:
            found = await self._ask(lane, whole.letter.message_id)
        except (NoAnswer, BusUnavailable) as error:
            return Foresight("unknown", SILENT.format(service=lane.service, reason=error.public))
        if found.handled_at is None:
            return Foresight("apply", FRESH)
        print_ = whole.edited[-1].fingerprint if whole.edited else whole.headers.get(FINGERPRINT, "")
        at = found.handled_at.isoformat(timespec="seconds")
        if found.content != print_:
            return Foresight("conflict", CONFLICTING.format(at=at))
        return Foresight("skip", SKIPPED.format(at=at))

    async def _ask(self, lane: Consumer, message_id: str) -> HandledFound:
        question = FindHandled(service=lane.service, consumer=lane.name, message_id=message_id)
        topic = self.topology.topic(FindHandled)
        return decode(HandledFound, await self.bus.query(topic, encode(question), ASK_SECONDS))
