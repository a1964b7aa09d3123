"""Usage by query over the bus."""

from uuid import UUID

from penstock_common.contracts.base import decode, encode
from penstock_common.contracts.billing import ReadUsage, UsageReport
from penstock_common.errors import NoAnswer
from penstock_common.messaging.ports import Bus
from penstock_common.topology import READ_USAGE

SECONDS = 2.0


class BillingUsage:
    """Asks any process of billing."""

    def __init__(self, bus: Bus, seconds: float = SECONDS) -> None:
        self.bus, self.seconds = bus, seconds

    async def read(self, tenant: UUID | None, request_id: UUID | None) -> UsageReport:
        """Usage of a tenant, or of all for None; of one request where it is given. Raises BusUnavailable, NoAnswer."""
        question = encode(ReadUsage(tenant=tenant, request_id=request_id), READ_USAGE.wire)
        try:
            answer = await self.bus.query(READ_USAGE, question, self.seconds)
        except NoAnswer as error:
            raise NoAnswer(f"billing did not answer within {self.seconds:g} s; nothing is lost, ask again.") from error
        return decode(UsageReport, answer, READ_USAGE.wire)
