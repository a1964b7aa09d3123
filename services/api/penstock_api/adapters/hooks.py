"""Webhooks in api's schema. A delivery and the order of its run are one transaction."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Row, text

from penstock_api.domain.hooks import MOST, Hook, HookNotFound, Signing, TooManyHooks, key_of
from penstock_api.ports.hooks import NewHook, Started, Trusted
from penstock_common.clock import Clock
from penstock_common.contracts.runs import StartRun, Trigger
from penstock_common.db.transaction import Database
from penstock_common.errors import SubjectErased
from penstock_common.ids import uuid7
from penstock_common.periodic import Periodic
from penstock_common.sealing import Sealer

FORGET_SECONDS = 3600.0
REMEMBERED = timedelta(days=90)  # senders repeat for days; GitHub lets a person do so for one month

COLUMNS = "id, tenant, key_id, name, task, signing::text as signing, created_at, rotated_at, previous_until"
COUNT_LOCK = text("select pg_advisory_xact_lock(hashtextextended(cast(:tenant as text), 8))")
COUNT = text("select count(*) from api.hooks where tenant = :tenant")
INSERT = text(f"""
insert into api.hooks (id, tenant, key_id, name, task, signing, sealed_secret, created_at)
values (:id, :tenant, :key_id, :name, :task, cast(:signing as jsonb), :sealed, :now) returning {COLUMNS}
""")
OF_TENANT = text(f"select {COLUMNS} from api.hooks where tenant = :tenant order by id")
ONE = text(f"select {COLUMNS} from api.hooks where tenant = :tenant and id = :id")
ROTATE = text(f"""
update api.hooks set sealed_previous = sealed_secret, sealed_secret = :sealed, previous_until = :until,
    rotated_at = :now where tenant = :tenant and id = :id returning {COLUMNS}
""")
REMOVE = text("delete from api.hooks where tenant = :tenant and id = :id returning id")
TRUSTED = text(f"select {COLUMNS}, sealed_secret, sealed_previous from api.hooks where id = :id")
TAKE = text("""
insert into api.hook_deliveries (hook_id, delivery_id, run_id, received_at)
values (:hook_id, :delivery_id, :run_id, :now) on conflict do nothing returning run_id
""")
TAKEN = text("select run_id from api.hook_deliveries where hook_id = :hook_id and delivery_id = :delivery_id")
FORGET = text("delete from api.hook_deliveries where received_at < :before")


@dataclass
class HookTable:
    """The webhooks of every project."""

    database: Database
    sealer: Sealer
    clock: Clock

    def __post_init__(self) -> None:
        self.forgetting = Periodic(FORGET_SECONDS, self.forget, "hooks.not_forgotten")

    async def create(self, wanted: NewHook) -> Hook:
        """The new webhook. Raises TooManyHooks."""
        id_ = uuid7()
        row = {
            "id": id_,
            "tenant": wanted.tenant,
            "key_id": wanted.key_id,
            "name": wanted.name,
            "task": wanted.task,
            "signing": msgspec.json.encode(wanted.signing).decode(),
            "sealed": self._seal(wanted.tenant, id_, wanted.secret),
            "now": self.clock.now(),
        }
        async with self.database.transaction() as tx:
            await tx.connection.execute(COUNT_LOCK, {"tenant": str(wanted.tenant)})
            if await tx.connection.scalar(COUNT, {"tenant": wanted.tenant}) >= MOST:
                raise TooManyHooks
            return _hook((await tx.connection.execute(INSERT, row)).one())

    async def of(self, tenant: UUID) -> list[Hook]:
        """The webhooks of a project, the oldest first."""
        async with self.database.reading() as connection:
            return [_hook(row) for row in await connection.execute(OF_TENANT, {"tenant": tenant})]

    async def find(self, tenant: UUID, hook_id: UUID) -> Hook:
        """One webhook of a project. Raises HookNotFound."""
        async with self.database.reading() as connection:
            row = (await connection.execute(ONE, {"tenant": tenant, "id": hook_id})).one_or_none()
        return _found(row)

    async def rotate(self, tenant: UUID, hook_id: UUID, secret: str, overlap: timedelta) -> Hook:
        """Take a new secret; the one before it stays good for `overlap`. Raises HookNotFound."""
        now = self.clock.now()
        given = {"tenant": tenant, "id": hook_id, "now": now, "until": now + overlap}
        given["sealed"] = self._seal(tenant, hook_id, secret)
        async with self.database.transaction() as tx:
            row = (await tx.connection.execute(ROTATE, given)).one_or_none()
        return _found(row)

    async def remove(self, tenant: UUID, hook_id: UUID) -> bool:
        """Refuse its deliveries from now on; False where the project has no such webhook."""
        async with self.database.reading() as connection:
            return await connection.scalar(REMOVE, {"tenant": tenant, "id": hook_id}) is not None

    async def trusted(self, hook_id: UUID) -> Trusted | None:
        """A webhook of any project, to check a delivery by; None also where its project was erased."""
        async with self.database.reading() as connection:
            row = (await connection.execute(TRUSTED, {"id": hook_id})).one_or_none()
        if row is None:
            return None
        hook = _hook(row)
        sealed = [bytes(row.sealed_secret)]
        if row.sealed_previous and row.previous_until > self.clock.now():
            sealed.append(bytes(row.sealed_previous))
        try:
            secrets = [self.sealer.open(context_of(hook_id), one).decode() for one in sealed]
        except SubjectErased:
            return None
        return Trusted(hook, [key_of(hook.signing.scheme, secret) for secret in secrets])

    async def order_run(self, hook: Hook, delivery_id: str, given: dict[str, Any], depth: int) -> Started:
        """Order a delivery's run, durably and once."""
        run_id, key = uuid7(), {"hook_id": hook.id, "delivery_id": delivery_id}
        content = msgspec.json.encode({"task": None, "input": given})
        command = StartRun(
            run_id=run_id,
            tenant=hook.tenant,
            key_id=hook.key_id,
            trigger=Trigger.WEBHOOK,
            source_id=str(hook.id),
            task=hook.task,
            sealed=self.sealer.seal(hook.tenant, str(run_id), content),
            depth=depth,
        )
        async with self.database.transaction() as tx:
            taken = await tx.connection.scalar(TAKE, {**key, "run_id": run_id, "now": self.clock.now()})
            if taken is None:
                known: UUID = (await tx.connection.execute(TAKEN, key)).scalar_one()
                return Started(known, duplicate=True)
            tx.publish(command, message_id=f"{run_id}.start")
        return Started(run_id, duplicate=False)

    async def forget(self) -> None:
        """Drop deliveries older than any repetition. Raises DatabaseUnavailable."""
        async with self.database.reading() as connection:
            await connection.execute(FORGET, {"before": self.clock.now() - REMEMBERED})

    def _seal(self, tenant: UUID, hook_id: UUID, secret: str) -> bytes:
        return self.sealer.seal(tenant, context_of(hook_id), secret.encode())


def context_of(hook_id: UUID) -> str:
    """Under which a webhook's secret is sealed."""
    return f"hook:{hook_id}"


def _found(row: Row[Any] | None) -> Hook:
    if row is None:
        raise HookNotFound
    return _hook(row)


def _hook(row: Row[Any]) -> Hook:
    names = ("id", "tenant", "key_id", "name", "task", "created_at", "rotated_at", "previous_until")
    signing = msgspec.json.decode(row.signing, type=Signing)
    return Hook(signing=signing, **{name: getattr(row, name) for name in names})
