"""Keeps what the collector brings: each letter once, and one that failed again under the letter that it was."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from penstock_api.domain.dead_letters import RETRY, identity_of, retry_of, tenant_of
from penstock_api.domain.plain import plain
from penstock_common.clock import Clock
from penstock_common.db.transaction import Database
from penstock_common.ids import uuid7
from penstock_common.messaging.attempts import Attempt
from penstock_common.messaging.deadletter import DeadLetter

MOST_TOLD = 100  # attempts in a story that goes on over retries
NAME_LENGTH = 500  # characters

KEEP = text("""
insert into api.dead_letters (id, identity, consumer, subject, message_id, tenant, code, reason, attempts, story,
  headers, body, first_failed_at, last_failed_at, collected_at, changed_at)
values (:id, :identity, :consumer, :subject, :message_id, :tenant, :code, :reason, :attempts, cast(:story as jsonb),
  cast(:headers as jsonb), :body, :first_failed_at, :last_failed_at, :now, :now)
on conflict (identity) do nothing
""")
FAILED_AGAIN = text(f"""
update api.dead_letters set state = 'waiting', changed_at = :now, code = :code, reason = :reason,
  attempts = attempts + :attempts, last_failed_at = :last_failed_at,
  story = (
    select coalesce(jsonb_agg(told.one order by told.place), '[]') from (
      select one, place from jsonb_array_elements(story || cast(:story as jsonb)) with ordinality as t(one, place)
      order by place desc limit {MOST_TOLD}
    ) told
  )
where id = :letter and act_id = :act and state = 'retried'
""")
KNOWN = text("select exists (select from api.dead_letters where id = :letter)")


@dataclass(frozen=True, slots=True)
class LetterKeeper:
    """Writes letters down."""

    database: Database
    clock: Clock
    kept: Callable[[], None]
    """Is told after each."""

    async def keep(self, letter: DeadLetter) -> None:
        """Once it returns the bus may forget the letter. Raises DatabaseUnavailable."""
        async with self.database.transaction() as tx:
            if not await self._failed_again(tx.connection, letter):
                await tx.connection.execute(KEEP, self._row(letter))
        self.kept()

    async def _failed_again(self, connection: AsyncConnection, letter: DeadLetter) -> bool:
        """Whether it goes on as a letter that is known; a copy of what was written before changes nothing."""
        if (retried := retry_of(letter.headers)) is None:
            return False
        given = {"letter": retried[0], "act": retried[1], "now": self.clock.now(), **_failure(letter)}
        changed = await connection.execute(FAILED_AGAIN, given)
        return bool(changed.rowcount) or bool(await connection.scalar(KNOWN, {"letter": retried[0]}))

    def _row(self, letter: DeadLetter) -> Mapping[str, Any]:
        headers = {plain(name, NAME_LENGTH): plain(value) for name, value in letter.headers.items() if name != RETRY}
        return _failure(letter) | {
            "id": uuid7(),
            "identity": identity_of(letter),
            "consumer": plain(letter.consumer, NAME_LENGTH),
            "subject": plain(letter.subject, NAME_LENGTH),
            "message_id": plain(letter.message_id),
            "tenant": tenant_of(letter.headers),
            "headers": msgspec.json.encode(headers).decode(),
            "body": letter.body,
            "first_failed_at": letter.first_failed_at,
            "now": self.clock.now(),
        }


def _failure(letter: DeadLetter) -> dict[str, Any]:
    """What the last life of the message says of its end."""
    return {
        "code": plain(letter.code, NAME_LENGTH),
        "reason": plain(letter.reason, NAME_LENGTH),
        "attempts": letter.attempts,
        "story": msgspec.json.encode([_plain_attempt(attempt) for attempt in letter.story]).decode(),
        "last_failed_at": letter.last_failed_at,
    }


def _plain_attempt(attempt: Attempt) -> Attempt:
    told = msgspec.structs.asdict(attempt).items()
    texts = {name: plain(value, NAME_LENGTH) for name, value in told if isinstance(value, str)}
    return msgspec.structs.replace(attempt, **texts)
