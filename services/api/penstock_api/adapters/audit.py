"""The audit log in api's schema: written in the transaction of the act, or of the message that tells of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from penstock_api.domain.audit import bounded
from penstock_api.ports.audit import AuditQuery
from penstock_common.clock import Clock
from penstock_common.contracts.operating import OperatorActed, Phase
from penstock_common.db.transaction import Database
from penstock_common.periodic import Periodic

FORGET_SECONDS = 3600.0
KEPT = timedelta(days=7 * 366)  # more than seven years of any length; the table itself refuses to forget earlier

WRITE = text("""
insert into api.audit_entries (id, act_id, act, phase, actor, details, at)
values (:id, :act_id, :act, :phase, :actor, cast(:details as jsonb), :at) on conflict do nothing
""")
READ = text("""
select id, act_id, act, phase, actor, details::text as details, at from api.audit_entries
where (cast(:act as text) is null or act = :act or starts_with(act, :act || '.'))
  and (cast(:actor as text) is null or actor = :actor)
  and (cast(:act_id as uuid) is null or act_id = :act_id)
  and (cast(:since as timestamptz) is null or at >= :since)
  and (cast(:until as timestamptz) is null or at < :until)
  and (cast(:before as uuid) is null or id < :before)
order by id desc limit :most
""")
FORGET = text("delete from api.audit_entries where at < :before")


async def write(connection: AsyncConnection, event: OperatorActed) -> None:
    """Add an entry; one that is there already stays as it is."""
    kept = bounded(event)
    row = {
        "id": kept.entry_id,
        "act_id": kept.act_id,
        "act": kept.act,
        "phase": kept.phase.value,
        "actor": kept.actor,
        "details": msgspec.json.encode(kept.details).decode(),
        "at": kept.at,
    }
    await connection.execute(WRITE, row)


@dataclass
class AuditLog:
    """What operators did, the newest first."""

    database: Database
    clock: Clock

    def __post_init__(self) -> None:
        self.forgetting = Periodic(FORGET_SECONDS, self.forget, "audit.not_forgotten")

    async def read(self, query: AuditQuery, before: UUID | None, most: int) -> Sequence[OperatorActed]:
        """Up to `most` entries older than the one of id `before`. Raises DatabaseUnavailable."""
        given = {**msgspec.structs.asdict(query), "before": before, "most": most}
        async with self.database.reading() as connection:
            rows = (await connection.execute(READ, given)).all()
        return [
            OperatorActed(
                entry_id=row.id,
                act_id=row.act_id,
                act=row.act,
                phase=Phase(row.phase),
                actor=row.actor,
                details=msgspec.json.decode(row.details, type=dict[str, str]),
                at=row.at,
            )
            for row in rows
        ]

    async def forget(self) -> None:
        """Drop what has to be kept no longer. Raises DatabaseUnavailable."""
        async with self.database.reading() as connection:
            await connection.execute(FORGET, {"before": self.clock.now() - KEPT})
