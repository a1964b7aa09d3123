"""What operators do to dead letters. State, what follows from it and the audit entry are one transaction."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from penstock_api.adapters import audit
from penstock_api.adapters.dead_letter_table import CHOSEN, counted, counted_rows, found, given_of
from penstock_api.adapters.redrive import Redrive
from penstock_api.domain.dead_letter_payload import changed
from penstock_api.domain.dead_letters import (
    EDITABLE,
    MOST_AT_ONCE,
    Act,
    Choice,
    ConsumerGone,
    Counted,
    LetterSettled,
    TooManyLetters,
    WholeLetter,
    allowed,
    described,
)
from penstock_api.ports.dead_letters import Actor, Change, Order, Outcome
from penstock_common.clock import Clock
from penstock_common.contracts.base import encode
from penstock_common.contracts.operating import OperatorActed, Phase
from penstock_common.db.transaction import Database
from penstock_common.ids import uuid7
from penstock_common.messaging.topology import Topology

DO = f"""
with locked as materialized (select l.id from api.dead_letters l where {CHOSEN} order by l.id for update),
placed as (select id, row_number() over (order by id) - 1 as place from locked)
update api.dead_letters l set changed_at = :now, %s from placed p where l.id = p.id returning l.id, l.consumer
"""
DOING = {
    Act.RETRY: text(
        DO
        % """state = 'due', act_id = :act, retries = l.retries + 1,
        due_at = cast(:now as timestamptz) + p.place * make_interval(secs => :gap)"""
    ),
    Act.DROP: text(DO % "state = 'dropped', due_at = null"),
    Act.ACKNOWLEDGE: text(DO % "state = 'acknowledged'"),
}
EDIT = text("""
insert into api.dead_letter_edits (letter_id, number, body, fingerprint, actor, at)
values (:id, :number, :body, :fingerprint, :actor, :now)
""")
LOCK = text("select id from api.dead_letters where id = :id for update")


@dataclass(frozen=True, slots=True)
class LetterDesk:
    """Acts on letters; each is about all that the choice holds at that moment, or about none."""

    database: Database
    topology: Topology
    clock: Clock
    redrive: Redrive

    async def do(self, order: Order, actor: Actor) -> Outcome:
        """What is ordered. Raises TooManyLetters, ConsumerGone, DatabaseUnavailable."""
        act, choice = uuid7(), allowed(order.choice, order.act)
        given = {**given_of(choice), "now": self.clock.now()}
        if order.act is Act.RETRY:
            given |= {"act": act, "gap": 1 / order.rate}
        async with self.database.transaction() as tx:
            counts = counted_rows((await tx.connection.execute(DOING[order.act], given)).all())
            if counts.count > MOST_AT_ONCE:
                raise TooManyLetters
            if order.act is Act.RETRY:
                self._require_consumers(counts)
            if counts.count:
                details = described(choice, counts) | ({"rate": f"{order.rate:g}"} if order.act is Act.RETRY else {})
                await self._note(tx.connection, act, order.act.value, actor, details)
        self.redrive.nudge()
        return Outcome(act if counts.count else None, counts)

    async def edit(self, letter_id: UUID, change: Change, actor: Actor) -> WholeLetter:
        """Give the next attempts another payload.

        Raises LetterNotFound, LetterSettled, ConsumerGone, EditRefused, DatabaseUnavailable.
        """
        async with self.database.transaction() as tx:
            await tx.connection.execute(LOCK, {"id": letter_id})
            whole = await found(tx.connection, letter_id)
            if whole.letter.state not in EDITABLE:
                raise LetterSettled(f"The dead letter is {whole.letter.state}: its payload is on its way already.")
            topic = self.topology.of_subject(whole.letter.subject)
            if topic is None:
                raise ConsumerGone(f"There is no topic {whole.letter.subject} any more; drop or export this letter.")
            message = changed(whole.current, change.patch, change.payload, topic)
            row = {
                "id": letter_id,
                "number": len(whole.edited) + 1,
                "body": encode(message, topic.wire),
                "fingerprint": message.fingerprint(),
                "actor": actor.name,
                "now": self.clock.now(),
            }
            await tx.connection.execute(EDIT, row)
            fields = ", ".join(sorted(change.patch or change.payload or ()))
            details = {"letter": str(letter_id), "consumer": whole.letter.consumer, "fields": fields}
            await self._note(tx.connection, uuid7(), "edit", actor, details)
            return await found(tx.connection, letter_id)

    async def exported(self, choice: Choice, actor: Actor) -> None:
        """Write down that letters are being read out. Raises DatabaseUnavailable."""
        async with self.database.transaction() as tx:
            counts = await counted(tx.connection, choice)
            await self._note(tx.connection, uuid7(), "export", actor, described(choice, counts))

    def _require_consumers(self, counts: Counted) -> None:
        known = {row.name for row in self.topology.rows}
        if gone := sorted(counts.by_consumer.keys() - known):
            raise ConsumerGone(f"There is no consumer {gone[0]} any more; choose others, drop or export its letters.")

    async def _note(
        self, connection: AsyncConnection, act: UUID, word: str, actor: Actor, details: Mapping[str, str]
    ) -> None:
        entry = OperatorActed(
            entry_id=uuid7(),
            act_id=act,
            act=f"dead-letters.{word}",
            phase=Phase.DONE,
            actor=actor.name,
            details=dict(details),
            at=self.clock.now(),
        )
        await audit.write(connection, entry)
