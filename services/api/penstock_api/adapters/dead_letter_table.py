"""Dead letters in api's schema, as they are read."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from penstock_api.domain.dead_letters import (
    Choice,
    Counted,
    Edit,
    Letter,
    LetterNotFound,
    State,
    WholeLetter,
)
from penstock_common.db.transaction import Database
from penstock_common.messaging.attempts import Attempt

PAGE_BYTES = 8 << 20  # of bodies in one page of whole letters, unless a single one is larger

NAMES = (
    *("id", "consumer", "subject", "message_id", "tenant", "code", "reason", "attempts", "first_failed_at"),
    *("last_failed_at", "collected_at", "changed_at", "retries", "act_id", "due_at"),
)
COLUMNS = f"""{", ".join(f"l.{name}" for name in NAMES)}, l.state, octet_length(l.body) as size,
(select count(*) from api.dead_letter_edits e where e.letter_id = l.id) as edits"""
CHOSEN = """
(cast(:consumer as text) is null or l.consumer = :consumer
  or (right(:consumer, 1) = '*' and starts_with(l.consumer, left(:consumer, -1))))
and (cast(:topic as text) is null or l.subject = :topic
  or (right(:topic, 1) = '*' and starts_with(l.subject, left(:topic, -1))))
and (cast(:tenant as uuid) is null or l.tenant = :tenant)
and (cast(:code as text) is null or l.code = :code)
and l.state = any(cast(:states as text[]))
and (cast(:since as timestamptz) is null or l.last_failed_at >= :since)
and (cast(:before as timestamptz) is null or l.last_failed_at < :before)
and (cast(:ids as uuid[]) is null or l.id = any(:ids))
and (cast(:up_to as uuid) is null or l.id <= :up_to)
"""
PAGE = text(f"""
select {COLUMNS} from api.dead_letters l
where {CHOSEN} and (cast(:after as uuid) is null or l.id > :after) order by l.id limit :most
""")
WHOLE = f"select {COLUMNS}, l.story::text as story, l.headers::text as headers, l.body from api.dead_letters l"
ONE = text(f"{WHOLE} where l.id = :id")
WHOLE_PAGE = text(f"""
{WHOLE} join (
  select l.id, sum(octet_length(l.body)) over (order by l.id) as until, row_number() over (order by l.id) as place
  from api.dead_letters l where {CHOSEN} and (cast(:after as uuid) is null or l.id > :after)
  order by l.id limit :most
) p on p.id = l.id where p.place = 1 or p.until <= {PAGE_BYTES} order by l.id
""")
EDITS = text("""
select letter_id, number, body, fingerprint, actor, at from api.dead_letter_edits
where letter_id = any(cast(:ids as uuid[])) order by letter_id, number
""")
COUNT = text(f"""
select l.consumer, count(*) as letters, (array_agg(l.id order by l.id desc))[1] as newest
from api.dead_letters l where {CHOSEN} group by l.consumer
""")
SUMMARY = text("select consumer, state, count(*) as letters from api.dead_letters group by 1, 2 order by 1, 2")
WAITING = text("select consumer, count(*) as letters from api.dead_letters where state = 'waiting' group by 1")


@dataclass(frozen=True, slots=True)
class LetterTable:
    """Reads letters."""

    database: Database

    async def page(self, choice: Choice, after: UUID | None, most: int) -> Sequence[Letter]:
        """Up to `most` letters, the oldest first, after the one of this id. Raises DatabaseUnavailable."""
        given = {**given_of(choice), "after": after, "most": most}
        async with self.database.reading() as connection:
            return [_letter(row) for row in await connection.execute(PAGE, given)]

    async def find(self, letter_id: UUID) -> WholeLetter:
        """One letter. Raises LetterNotFound, DatabaseUnavailable."""
        async with self.database.reading() as connection:
            return await found(connection, letter_id)

    async def whole(self, choice: Choice, after: UUID | None, most: int) -> Sequence[WholeLetter]:
        """As `page`, with everything; fewer where they are large. Raises DatabaseUnavailable."""
        given = {**given_of(choice), "after": after, "most": most}
        async with self.database.reading() as connection:
            rows = (await connection.execute(WHOLE_PAGE, given)).all()
            edits = await _edits(connection, [row.id for row in rows])
        return [_whole(row, edits.get(row.id, ())) for row in rows]

    async def count(self, choice: Choice) -> Counted:
        """How many there are by consumer, and the newest. Raises DatabaseUnavailable."""
        async with self.database.reading() as connection:
            return await counted(connection, choice)

    async def summary(self) -> Mapping[str, Mapping[str, int]]:
        """Counts by consumer and state. Raises DatabaseUnavailable."""
        async with self.database.reading() as connection:
            counts: dict[str, dict[str, int]] = {}
            for row in await connection.execute(SUMMARY):
                counts.setdefault(row.consumer, {})[row.state] = row.letters
        return counts

    async def waiting(self) -> Mapping[str, int]:
        """Letters that nobody acknowledged, by consumer. Raises DatabaseUnavailable."""
        async with self.database.reading() as connection:
            return {row.consumer: row.letters for row in await connection.execute(WAITING)}


def given_of(choice: Choice) -> dict[str, object]:
    """The parameters of `CHOSEN`."""
    return {
        "consumer": choice.consumer,
        "topic": choice.topic,
        "tenant": choice.tenant,
        "code": choice.code,
        "states": [state.value for state in choice.states],
        "since": choice.failed_since,
        "before": choice.failed_before,
        "ids": None if choice.ids is None else list(choice.ids),
        "up_to": choice.up_to,
    }


async def counted(connection: AsyncConnection, choice: Choice) -> Counted:
    """As `LetterTable.count`, in a transaction."""
    rows = (await connection.execute(COUNT, given_of(choice))).all()
    newest = max((row.newest for row in rows), default=None)
    return Counted({row.consumer: row.letters for row in sorted(rows, key=lambda row: str(row.consumer))}, newest)


def counted_rows(rows: Sequence[Row[Any]]) -> Counted:
    """Rows of id and consumer, counted."""
    by_consumer = Counter(str(row.consumer) for row in rows)
    return Counted(dict(sorted(by_consumer.items())), max((row.id for row in rows), default=None))


async def found(connection: AsyncConnection, letter_id: UUID) -> WholeLetter:
    """One letter, in a transaction. Raises LetterNotFound."""
    row = (await connection.execute(ONE, {"id": letter_id})).one_or_none()
    if row is None:
        raise LetterNotFound
    return _whole(row, (await _edits(connection, [letter_id])).get(letter_id, ()))


async def _edits(connection: AsyncConnection, ids: Sequence[UUID]) -> Mapping[UUID, Sequence[Edit]]:
    edits: dict[UUID, list[Edit]] = {}
    for row in await connection.execute(EDITS, {"ids": list(ids)}):
        edit = Edit(number=row.number, body=bytes(row.body), fingerprint=row.fingerprint, actor=row.actor, at=row.at)
        edits.setdefault(row.letter_id, []).append(edit)
    return edits


def _whole(row: Row[Any], edits: Sequence[Edit]) -> WholeLetter:
    return WholeLetter(
        letter=_letter(row),
        story=msgspec.json.decode(row.story, type=list[Attempt]),
        headers=msgspec.json.decode(row.headers, type=dict[str, str]),
        body=bytes(row.body),
        edited=edits,
    )


def _letter(row: Row[Any]) -> Letter:
    values = {name: getattr(row, name) for name in NAMES}
    return Letter(**values, state=State(row.state), size=row.size, edits=row.edits)
