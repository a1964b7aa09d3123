"""API keys in memory: loaded from the schema, changed by broadcast, read again by version."""

import asyncio
import contextlib
from datetime import datetime
from uuid import UUID

from penstock_api.adapters.key_store import KeyTable
from penstock_api.domain.key_errors import KeyUnknown
from penstock_api.domain.keys import Key, digest_of, secret_in
from penstock_api.ports.keys import NewKey
from penstock_common.clock import Clock
from penstock_common.errors import PenstockError
from penstock_common.messaging.ports import Bus, Subscription
from penstock_common.periodic import every
from penstock_common.topology import KEY_CREATED, KEY_REVOKED

REREAD_SECONDS = 4.0  # what no broadcast told is known within 5 s, the query included
USED_SECONDS = 3.0


class Keys:
    """Authenticates without a round trip, also while PostgreSQL and the bus are away."""

    def __init__(self, table: KeyTable, bus: Bus, clock: Clock) -> None:
        self.table, self.bus, self.clock = table, bus, clock
        self.version = 0
        self._by_digest: dict[bytes, Key] = {}
        self._digests: dict[UUID, bytes] = {}
        self._used: dict[UUID, datetime] = {}
        self._subscriptions: list[Subscription] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Load every key, and follow changes. Raises DatabaseUnavailable, BusUnavailable; then may be repeated."""
        await self._end()
        self._subscriptions = [await self.bus.listen(topic, self._on_change) for topic in (KEY_CREATED, KEY_REVOKED)]
        await self.refresh()
        self._tasks = [
            asyncio.create_task(every(REREAD_SECONDS, self.refresh, "keys.unread")),
            asyncio.create_task(every(USED_SECONDS, self.flush, "keys.use_unwritten")),
        ]

    async def stop(self) -> None:
        """Stop following, and write what is known of use."""
        await self._end()
        with contextlib.suppress(PenstockError):
            await self.flush()

    def authenticate(self, authorization: str | None) -> Key:
        """The key in an Authorization header. Raises KeyMissing, KeyMalformed, KeyUnknown, KeyExpired, KeyRevoked.

        The look-up takes no constant time and need not: what it compares is a hash, whose bits a caller can't choose.
        """
        key = self._by_digest.get(digest_of(secret_in(authorization)))
        if key is None:
            raise KeyUnknown
        now = self.clock.now()
        key.check_valid(now)
        self._used[key.id] = now
        return key

    async def create(self, wanted: NewKey) -> tuple[Key, str]:
        """The new key, valid in this process at once, and its secret."""
        made = await self.table.create(wanted)
        await self._refresh_quietly()
        return made

    async def of(self, tenant: UUID) -> list[Key]:
        """The keys of a project, the oldest first, revoked ones included."""
        return await self.table.of(tenant)

    async def find(self, tenant: UUID, key_id: UUID) -> Key | None:
        """One key of a project."""
        return await self.table.find(tenant, key_id)

    async def revoke(self, tenant: UUID, key_id: UUID) -> Key | None:
        """The key, invalid in this process at once; None where the project has no such key."""
        key = await self.table.revoke(tenant, key_id)
        await self._refresh_quietly()
        return key

    async def refresh(self) -> None:
        """Read what changed since the last reading. Raises DatabaseUnavailable."""
        for digest, key in await self.table.changed_since(self.version):
            self._take(digest, key)

    async def flush(self) -> None:
        """Write when keys were last used. Raises DatabaseUnavailable, and keeps the times for the next call."""
        used, self._used = self._used, {}
        if not used:
            return
        try:
            await self.table.mark_used(used)
        except BaseException:
            self._used = used | self._used
            raise

    def _take(self, digest: bytes, key: Key) -> None:
        old = self._digests.get(key.id)
        if old is not None and self._by_digest[old].version >= key.version:
            return  # another reading, begun later, was faster
        if old is not None:
            del self._by_digest[old]
        self._digests[key.id] = digest
        self._by_digest[digest] = key
        self.version = max(self.version, key.version)

    async def _on_change(self, body: bytes) -> None:
        await self._refresh_quietly()

    async def _refresh_quietly(self) -> None:
        with contextlib.suppress(PenstockError):  # it is read again within seconds
            await self.refresh()

    async def _end(self) -> None:
        for task in self._tasks:
            task.cancel()
        ending = [*self._tasks, *(subscription.stop() for subscription in self._subscriptions)]
        self._tasks, self._subscriptions = [], []
        await asyncio.gather(*ending, return_exceptions=True)
