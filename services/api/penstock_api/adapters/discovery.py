"""Discovery by query over the bus."""

from penstock_api.adapters.asking import ask_owner
from penstock_common.contracts.discovery import DiscoveryReport, ReadDiscovery
from penstock_common.messaging.ports import Bus

SECONDS = 2.0
CHECK_SECONDS = 5.0


class InferenceDiscovery:
    """Asks any process of inference."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus

    async def read(self, *, check: bool) -> DiscoveryReport:
        """What one process found; with `check` the engines of the catalogue, too. Raises BusUnavailable, NoAnswer."""
        seconds = CHECK_SECONDS if check else SECONDS
        return await ask_owner(self.bus, ReadDiscovery(check=check), DiscoveryReport, seconds)
