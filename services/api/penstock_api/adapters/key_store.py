"""API keys in api's schema. Every change gets a version from the table's own trigger, in the order of commits."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text

from penstock_api.domain.keys import DEFAULT_PROJECT, SECRET_BYTES, SECRET_PREFIX, SHOWN, Key, digest_of, secret_of
from penstock_api.ports.keys import NewKey
from penstock_common.contracts.keys import KeyCreated, KeyRevoked
from penstock_common.db.transaction import Database
from penstock_common.ids import uuid7

COLUMNS = """
id, project_id as tenant, name, prefix, scopes, tier, created_at, expires_at, revoked_at, last_used_at, version
"""
CHANGED = text(f"select sha256, {COLUMNS} from api.keys where version > :version order by version")
OF_TENANT = text(f"select {COLUMNS} from api.keys where project_id = :tenant order by id")
ONE = text(f"select {COLUMNS} from api.keys where project_id = :tenant and id = :id")
INSERT = text(f"""
insert into api.keys (id, project_id, name, prefix, sha256, scopes, tier, expires_at)
values (:id, :tenant, :name, :prefix, :sha256, :scopes, :tier, :expires_at) returning {COLUMNS}
""")
REVOKE = text(f"""
update api.keys set revoked_at = now() where project_id = :tenant and id = :id and revoked_at is null
returning {COLUMNS}
""")
USED = text("""
update api.keys k set last_used_at = g.at
from unnest(cast(:id as uuid[]), cast(:at as timestamptz[])) as g(id, at)
where k.id = g.id and (k.last_used_at is null or k.last_used_at < g.at)
""")
PROJECT = text("insert into api.projects (id, name) values (:id, 'default') on conflict do nothing")
# A new hash makes the key usable again; the same one leaves a revocation alone.
LOCAL_KEY = text("""
insert into api.keys (id, project_id, name, prefix, sha256, scopes)
values (:id, :tenant, :name, :prefix, :sha256, :scopes)
on conflict (id) do update set sha256 = excluded.sha256, revoked_at = null where keys.sha256 <> excluded.sha256
""")


@dataclass(frozen=True, slots=True)
class LocalKey:
    """A key whose secret the operator keeps; its row is made at start from the hash."""

    id: UUID
    name: str
    scopes: tuple[str, ...]
    sha256: bytes


class KeyTable:
    """The keys of every project."""

    def __init__(self, database: Database) -> None:
        self.database = database

    async def ensure(self, keys: list[LocalKey]) -> None:
        """Make the default project and these keys of it, or give them their new hash; harmless when repeated."""
        async with self.database.transaction() as tx:
            await tx.connection.execute(PROJECT, {"id": DEFAULT_PROJECT})
            for key in keys:
                row = {"id": key.id, "name": key.name, "sha256": key.sha256, "scopes": list(key.scopes)}
                await tx.connection.execute(LOCAL_KEY, {**row, "tenant": DEFAULT_PROJECT, "prefix": SECRET_PREFIX})

    async def changed_since(self, version: int) -> list[tuple[bytes, Key]]:
        """(SHA-256, key) of every key made or changed after this version, in the order of versions."""
        async with self.database.reading() as connection:
            return [(bytes(row.sha256), _key(row)) for row in await connection.execute(CHANGED, {"version": version})]

    async def create(self, wanted: NewKey) -> tuple[Key, str]:
        """The new key and its secret; announced by the same transaction."""
        secret = secret_of(os.urandom(SECRET_BYTES))
        row = {
            "id": uuid7(),
            "tenant": wanted.tenant,
            "name": wanted.name,
            "prefix": secret[:SHOWN],
            "sha256": digest_of(secret),
            "scopes": list(wanted.scopes),
            "tier": wanted.tier,
            "expires_at": wanted.expires_at,
        }
        async with self.database.transaction() as tx:
            key = _key((await tx.connection.execute(INSERT, row)).one())
            tx.publish(KeyCreated(key_id=key.id, tenant=key.tenant, version=key.version))
        return key, secret

    async def of(self, tenant: UUID) -> list[Key]:
        """The keys of a project, the oldest first, revoked ones included."""
        async with self.database.reading() as connection:
            return [_key(row) for row in await connection.execute(OF_TENANT, {"tenant": tenant})]

    async def find(self, tenant: UUID, key_id: UUID) -> Key | None:
        """One key of a project."""
        async with self.database.reading() as connection:
            row = (await connection.execute(ONE, {"tenant": tenant, "id": key_id})).one_or_none()
        return _key(row) if row else None

    async def revoke(self, tenant: UUID, key_id: UUID) -> Key | None:
        """The key, revoked now or before; a first revocation is announced by the same transaction."""
        given = {"tenant": tenant, "id": key_id}
        async with self.database.transaction() as tx:
            row = (await tx.connection.execute(REVOKE, given)).one_or_none()
            if row:
                tx.publish(KeyRevoked(key_id=row.id, tenant=row.tenant, version=row.version))
        return _key(row) if row else await self.find(tenant, key_id)

    async def mark_used(self, at: Mapping[UUID, datetime]) -> None:
        """Keep when keys were last used; an earlier time never replaces a later one."""
        ids = sorted(at)  # in one order, so that two processes can't lock each other's rows
        async with self.database.reading() as connection:
            await connection.execute(USED, {"id": ids, "at": [at[id_] for id_ in ids]})


def _key(row: Row[Any]) -> Key:
    names = ("id", "tenant", "name", "prefix", "created_at", "expires_at", "revoked_at", "last_used_at", "version")
    return Key(scopes=frozenset(row.scopes), tier=row.tier, **{name: getattr(row, name) for name in names})
