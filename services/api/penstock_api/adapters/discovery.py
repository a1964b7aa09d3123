"""Discovery by query over the bus."""

from penstock_common.contracts.base import decode, encode
from penstock_common.contracts.discovery import DiscoveryReport, ReadDiscovery
from penstock_common.errors import NoAnswer
from penstock_common.messaging.ports import Bus
from penstock_common.topology import READ_DISCOVERY

SECONDS = 2.0
CHECK_SECONDS = 5.0


class InferenceDiscovery:
    """Asks any process of inference."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus

    async def read(self, *, check: bool) -> DiscoveryReport:
        """What one process found; with `check` the engines of the catalogue, too. Raises BusUnavailable, NoAnswer."""
        seconds = CHECK_SECONDS if check else SECONDS
        try:
            answer = await self.bus.query(READ_DISCOVERY, encode(ReadDiscovery(check=check)), seconds)
        except NoAnswer as error:
            raise NoAnswer(f"inference did not answer within {seconds:g} s; ask again, or see its log.") from error
        return decode(DiscoveryReport, answer)
