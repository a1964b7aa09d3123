"""What the routes ask of the audit log."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

import msgspec

from penstock_common.contracts.operating import OperatorActed


class AuditQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which entries; what is None does not choose."""

    act: str | None = None
    """An act, or the first words of several: `dead-letters` is `dead-letters.retry`, too."""
    actor: str | None = None
    act_id: UUID | None = None
    since: datetime | None = None
    until: datetime | None = None


class Audit(Protocol):
    """What operators did."""

    async def read(self, query: AuditQuery, before: UUID | None, most: int) -> Sequence[OperatorActed]:
        """Up to `most` entries, the newest first, older than the one of id `before`. Raises DatabaseUnavailable."""
