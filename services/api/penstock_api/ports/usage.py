"""Usage, as routes ask for it."""

from typing import Protocol
from uuid import UUID

from penstock_common.contracts.billing import UsageReport


class UsageReader(Protocol):
    """Asks billing, whose ledger knows."""

    async def read(self, tenant: UUID | None, request_id: UUID | None) -> UsageReport:
        """Usage of a tenant, or of all for None; of one request where it is given. Raises BusUnavailable, NoAnswer."""
