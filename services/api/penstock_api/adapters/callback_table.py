"""`api.callbacks`: a row a URL, claimed for as long as a post may take, so that another process takes over."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text

from penstock_api.domain.callbacks import CallbackNotFound, CallbackState, CallbackTold
from penstock_common.db.transaction import Database
from penstock_common.periodic import Periodic

LOOK_SECONDS = 1.0
LOOKED_AT = 2_000
LEASE_SECONDS = 30.0
SWEEP_SECONDS = 3600.0

FIRST = UUID(int=0)
ANY_WAITING = "select exists (select from api.callbacks where state = 'waiting')"
ANY_DUE = "select exists (select from api.callbacks where state = 'due' and next_at <= now())"
RIPEN = text("""
with part as materialized (
  select request_id from api.callbacks where state = 'waiting' and request_id > :after order by request_id limit :most
), ripe as (
  update api.callbacks c set state = 'due', next_at = now() from part join api.requests r using (request_id)
  where c.request_id = part.request_id and c.state = 'waiting' and r.status <> 'accepted'
)
select count(*) as looked, (array_agg(request_id order by request_id desc))[1] as last from part
""")
CLAIM = text("""
with owners as materialized (
  select tenant from api.callbacks where state = 'due' and next_at <= now() and tenant <> all(cast(:busy as uuid[]))
  group by tenant order by min(next_at) limit :room
), taken as materialized (
  select d.request_id from owners o cross join lateral (
    select request_id from api.callbacks where tenant = o.tenant and state = 'due' and next_at <= now()
    order by next_at limit :each for update skip locked
  ) d limit :room
)
update api.callbacks c set attempts = attempts + 1, next_at = now() + make_interval(secs => :lease)
from taken join api.requests r using (request_id) where c.request_id = taken.request_id
returning c.request_id, c.tenant, c.sealed, c.depth, c.attempts, r.status, r.model, r.lane, r.attempt,
  r.prompt_tokens, r.completion_tokens, r.accepted_at, r.ended_at
""")
"""The oldest few of each project, so that none with slow receivers holds up the others."""
SETTLE = text("""
update api.callbacks set state = :state, problem = :problem,
  next_at = now() + make_interval(secs => cast(:pause as float8)),
  sealed = case when cast(:state as text) = 'due' then sealed end,
  settled_at = case when cast(:state as text) <> 'due' then now() end
where request_id = :request_id and attempts = :attempts and state = 'due'
""")
"""Nothing where another process has claimed it since."""
ONE = text("""
select state, attempts, problem, next_at, settled_at from api.callbacks where tenant = :tenant and request_id = :id
""")
SWEEP = text("delete from api.callbacks where settled_at < now() - interval '30 days'")


@dataclass
class CallbackTable:
    """Implements `CallbackReader`. Every method raises DatabaseUnavailable."""

    database: Database
    _after: UUID = field(default=FIRST, init=False)

    def __post_init__(self) -> None:
        self.ripening = Periodic(LOOK_SECONDS, self.ripen, "callbacks.unripened")
        self.sweeping = Periodic(SWEEP_SECONDS, self.sweep, "callbacks.unswept")

    async def of(self, tenant: UUID, request_id: UUID) -> CallbackTold:
        """See `CallbackReader`."""
        async with self.database.reading() as connection:
            row = (await connection.execute(ONE, {"tenant": tenant, "id": request_id})).one_or_none()
        if row is None:
            raise CallbackNotFound
        return CallbackTold(**dict(row._mapping) | {"state": CallbackState(row.state)})

    async def ripen(self) -> None:
        """Make those due whose requests have ended, of the next part of those that wait."""
        if not await self.database.finds(ANY_WAITING):
            return
        async with self.database.reading() as connection:
            part = (await connection.execute(RIPEN, {"after": self._after, "most": LOOKED_AT})).one()
        self._after = part.last if part.looked == LOOKED_AT else FIRST

    async def claim(self, room: int, each: int, busy: Sequence[UUID]) -> Sequence[Row[Any]]:
        """Up to `room` that are due, up to `each` of a project, none of the projects that are `busy`."""
        if not await self.database.finds(ANY_DUE):
            return ()
        given = {"room": room, "each": each, "busy": list(busy), "lease": LEASE_SECONDS}
        async with self.database.reading() as connection:
            return (await connection.execute(CLAIM, given)).all()

    async def settle(self, row: Row[Any], state: CallbackState, problem: str, pause: float | None) -> None:
        """Note what came of a claimed one; `pause` seconds before its next post, if there is to be one."""
        given = {"request_id": row.request_id, "attempts": row.attempts, "state": state.value}
        async with self.database.reading() as connection:
            await connection.execute(SETTLE, given | {"problem": problem, "pause": pause})

    async def sweep(self) -> None:
        """Forget those that were settled long ago."""
        async with self.database.reading() as connection:
            await connection.execute(SWEEP)
