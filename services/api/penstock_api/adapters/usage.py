"""Usage by query over the bus."""

from uuid import UUID

from penstock_api.adapters.asking import ask_owner
from penstock_common.contracts.billing import ReadUsage, UsageReport
from penstock_common.messaging.ports import Bus

SECONDS = 2.0


class BillingUsage:
    """Asks any process of billing."""

    def __init__(self, bus: Bus, seconds: float = SECONDS) -> None:
        self.bus, self.seconds = bus, seconds

    async def read(self, tenant: UUID | None, request_id: UUID | None) -> UsageReport:
        """Usage of a tenant, or of all for None; of one request where it is given. Raises BusUnavailable, NoAnswer."""
        return await ask_owner(self.bus, ReadUsage(tenant=tenant, request_id=request_id), UsageReport, self.seconds)
