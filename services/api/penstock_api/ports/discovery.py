"""What inference found by looking for engines, as routes ask for it."""

from typing import Protocol

from penstock_common.contracts.discovery import DiscoveryReport


class DiscoveryReader(Protocol):
    """Asks inference."""

    async def read(self, *, check: bool) -> DiscoveryReport:
        """What one process found; with `check` the engines of the catalogue, too. Raises BusUnavailable, NoAnswer."""
