"""API keys: what one may do, when it is valid, how its secret is made."""

import base64
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from penstock_api.domain.key_errors import KeyExpired, KeyMalformed, KeyMissing, KeyRevoked, ScopeExceeded, ScopeMissing

SECRET_PREFIX = "psk-"  # noqa: S105 (says what the text is, opens nothing)
SECRET_BYTES = 32
SECRET_LENGTH = 47
SHOWN = 12  # characters of a secret by which people recognise it
DEFAULT_PROJECT = UUID("00000000-0000-7000-8000-000000000001")


class Scope(StrEnum):
    """What a key may be used for. Any valid key may list the models."""

    CHAT = "chat"
    USAGE = "usage:read"
    KEYS = "keys:write"
    KNOWLEDGE_READ = "knowledge:read"
    KNOWLEDGE_WRITE = "knowledge:write"
    ADMIN = "admin"
    ALL = "*"


class Tier(StrEnum):
    """How a key's requests stand where there are more than slots."""

    STANDARD = "standard"
    ENTERPRISE = "enterprise"


@dataclass(frozen=True, slots=True)
class Key:
    """A key as the platform knows it: never its secret."""

    id: UUID
    tenant: UUID
    """The project that it belongs to."""
    name: str
    prefix: str
    scopes: frozenset[str]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    version: int
    tier: str = Tier.STANDARD

    def allows(self, scope: str) -> bool:
        """Whether the key may be used for this."""
        return scope in self.scopes or Scope.ALL in self.scopes

    def require(self, scope: Scope) -> None:
        """Raises ScopeMissing where the key may not be used for this."""
        if not self.allows(scope):
            raise ScopeMissing(f"This API key lacks the scope {scope.value!r}; use a key that has it.")

    def may_grant(self, scopes: Iterable[str]) -> None:
        """Raises ScopeExceeded where one of these goes beyond the key's own."""
        if beyond := sorted(scope for scope in scopes if not self.allows(scope)):
            raise ScopeExceeded(f"This API key does not hold {', '.join(beyond)}, so it can't give, take or revoke it.")

    def may_give(self, tier: Tier) -> None:
        """Raises ScopeExceeded where a key of this tier is not the key's to give: it neither has it, nor is admin."""
        if tier not in (Tier.STANDARD, self.tier) and not self.allows(Scope.ADMIN):
            raise ScopeExceeded(
                f"This API key is of the tier {self.tier}, so it can't give {tier}; use a key with the scope admin."
            )

    def check_valid(self, now: datetime) -> None:
        """Raises KeyRevoked or KeyExpired. Only who holds the whole secret learns which."""
        if self.revoked_at is not None:
            raise KeyRevoked
        if self.expires_at is not None and self.expires_at <= now:
            raise KeyExpired(f"This API key expired at {self.expires_at.isoformat()}; create another one.")


def secret_of(entropy: bytes) -> str:
    """The secret of a new key, from 32 random bytes: `psk-` and 43 characters that are safe in URLs."""
    if len(entropy) != SECRET_BYTES:
        raise ValueError(f"a secret is made of {SECRET_BYTES} bytes")
    return SECRET_PREFIX + base64.urlsafe_b64encode(entropy).rstrip(b"=").decode()


def digest_of(secret: str) -> bytes:
    """What is stored and looked up. Plain SHA-256: 256 random bits can't be guessed, so no slow hash is needed."""
    return hashlib.sha256(secret.encode()).digest()


def secret_in(authorization: str | None) -> str:
    """The secret in an Authorization header. Raises KeyMissing, KeyMalformed."""
    if not authorization:
        raise KeyMissing
    scheme, _, secret = authorization.strip().partition(" ")
    secret = secret.strip()
    if scheme.lower() != "bearer" or not secret:
        raise KeyMissing
    if len(secret) != SECRET_LENGTH or not secret.startswith(SECRET_PREFIX) or not secret.isascii():
        raise KeyMalformed
    return secret
