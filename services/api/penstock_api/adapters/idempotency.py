"""Which request an idempotency key stands for: one row, written before the request is published."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from penstock_api.domain.idempotency import IdempotencyKeyReused
from penstock_common.db.transaction import Database
from penstock_common.periodic import Periodic

SWEEP_SECONDS = 600.0
KEPT = "interval '24 hours'"
# A key whose request came to nothing is free again: asking once more is what its client wants.
CLAIM = text(f"""
insert into api.idempotency_keys as k (tenant, key_mac, body_mac, request_id)
values (:tenant, :key_mac, :body_mac, :request_id)
on conflict (tenant, key_mac) do update
set body_mac = excluded.body_mac, request_id = excluded.request_id, created_at = now()
where k.created_at < now() - {KEPT} or exists (
    select from api.requests r
    where r.request_id = k.request_id and r.status not in ('accepted', 'succeeded')
)
returning request_id
""")
KNOWN = text("""
select body_mac, request_id from api.idempotency_keys where tenant = :tenant and key_mac = :key_mac
""")
SWEEP = text(f"""
delete from api.idempotency_keys where (tenant, key_mac) in (
    select tenant, key_mac from api.idempotency_keys where created_at < now() - {KEPT}
    limit 10000 for update skip locked
)
""")


@dataclass(frozen=True, slots=True)
class Claim:
    """A request as its client names it. Key and body are keyed digests: they tell equal from different, no more."""

    tenant: UUID
    key_mac: str
    body_mac: str
    request_id: UUID
    """The id it gets if it is new."""


class IdempotencyKeys:
    """The keys of the last 24 hours."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.sweeping = Periodic(SWEEP_SECONDS, self.sweep, "idempotency.unswept")

    async def claim(self, claim: Claim) -> UUID:
        """The id of the request that the key stands for: the claim's own where it is new.

        Raises IdempotencyKeyReused for another body, DatabaseUnavailable.
        """
        async with self.database.reading() as connection:
            return await claimed(connection, claim)

    async def sweep(self) -> None:
        """Forget keys that are too old to count. Raises DatabaseUnavailable."""
        async with self.database.reading() as connection:
            await connection.execute(SWEEP)


async def claimed(connection: AsyncConnection, claim: Claim) -> UUID:
    """The id of the request that a key stands for, once this is committed. Raises IdempotencyKeyReused."""
    given = {"tenant": claim.tenant, "key_mac": claim.key_mac}
    values = given | {"body_mac": claim.body_mac, "request_id": claim.request_id}
    if (await connection.execute(CLAIM, values)).one_or_none():
        return claim.request_id
    known = (await connection.execute(KNOWN, given)).one_or_none()
    if known is None or known.body_mac != claim.body_mac:
        raise IdempotencyKeyReused
    request_id: UUID = known.request_id
    return request_id
