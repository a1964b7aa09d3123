"""Answers what was found, and how the engines of the catalogue are."""

from penstock_common.contracts.base import decode, encode
from penstock_common.contracts.discovery import DiscoveryReport, ReadDiscovery
from penstock_common.messaging.ports import Bus, Subscription
from penstock_common.topology import READ_DISCOVERY
from penstock_inference.adapters.hearing import silent
from penstock_inference.adapters.local.health import Keys, check_engines
from penstock_inference.adapters.local.watch import LocalEngines


class DiscoveryAnswers:
    """One process of the service answers each question."""

    def __init__(self, bus: Bus, engines: LocalEngines, keys: Keys, *, enabled: bool) -> None:
        self.bus, self.engines, self.keys, self.enabled = bus, engines, keys, enabled
        self._subscription: Subscription | None = None

    async def start(self) -> None:
        """Begin to answer. Raises BusUnavailable."""
        self._subscription = await self.bus.answer(READ_DISCOVERY, silent(self._answer))

    async def stop(self) -> None:
        """Answer no more."""
        if self._subscription:
            await self._subscription.stop()

    async def _answer(self, body: bytes) -> bytes:
        asked = decode(ReadDiscovery, body)
        models = self.engines.catalogue.current.models.values()
        return encode(
            DiscoveryReport(
                enabled=self.enabled,
                findings=self.engines.findings,
                engines=await check_engines(models, self.keys) if asked.check else [],
            )
        )
