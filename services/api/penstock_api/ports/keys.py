"""API keys, as routes use them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from penstock_api.domain.keys import Key, Tier


@dataclass(frozen=True, slots=True)
class NewKey:
    """What a key to be made is to be."""

    tenant: UUID
    name: str
    scopes: Sequence[str]
    expires_at: datetime | None
    tier: Tier = Tier.STANDARD


class Authenticator(Protocol):
    """Knows every key in memory."""

    def authenticate(self, authorization: str | None) -> Key:
        """The key in an Authorization header. Raises KeyMissing, KeyMalformed, KeyUnknown, KeyExpired, KeyRevoked."""


class KeyStore(Protocol):
    """Makes, lists and revokes keys. Every method raises DatabaseUnavailable."""

    async def create(self, wanted: NewKey) -> tuple[Key, str]:
        """The new key and its secret, which is shown this once and kept nowhere."""

    async def of(self, tenant: UUID) -> list[Key]:
        """The keys of a project, the oldest first, revoked ones included."""

    async def revoke(self, tenant: UUID, key_id: UUID) -> Key | None:
        """The key, revoked now or before; None where the project has no such key."""

    async def find(self, tenant: UUID, key_id: UUID) -> Key | None:
        """One key of a project."""
