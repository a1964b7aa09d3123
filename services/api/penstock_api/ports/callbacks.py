"""URLs that hear of the ends of requests, as routes use them."""

from typing import Protocol
from uuid import UUID

from penstock_api.domain.callbacks import CallbackTold


class CallbackReader(Protocol):
    """What became of each."""

    async def of(self, tenant: UUID, request_id: UUID) -> CallbackTold:
        """That of a project's request. Raises CallbackNotFound, DatabaseUnavailable."""
