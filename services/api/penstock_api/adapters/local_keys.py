"""The two keys that `penstock up` keeps for the operator of one machine."""

from uuid import UUID

from penstock_api.adapters.key_store import LocalKey
from penstock_api.domain.keys import Scope

USER_KEY = UUID("00000000-0000-7000-8000-000000000011")
ADMIN_KEY = UUID("00000000-0000-7000-8000-000000000012")


def local_keys(user_sha256: str, admin_sha256: str) -> list[LocalKey]:
    """The keys behind these SHA-256 digests in hex; an empty digest makes no key. Raises ValueError."""
    wanted = [
        (USER_KEY, "local user", (Scope.CHAT, Scope.USAGE, Scope.KNOWLEDGE_READ, Scope.KNOWLEDGE_WRITE), user_sha256),
        (ADMIN_KEY, "local admin", (Scope.ALL,), admin_sha256),
    ]
    return [LocalKey(id_, name, scopes, bytes.fromhex(digest)) for id_, name, scopes, digest in wanted if digest]
