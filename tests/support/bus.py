"""A bus in memory that confirms, refuses or is away, as a test says."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from penstock_common.errors import BusUnavailable
from penstock_common.messaging.ports import Outgoing, Settler
from tests.support.deliveries import MemorySettler


@dataclass
class MemoryBus:
    """The publishing half of `Bus`: repeats under one id are kept once, as on the real ones."""

    connected: bool = True
    refuses: Callable[[Outgoing], bool] = lambda message: False
    confirmed: Callable[[], Awaitable[None]] | None = None
    """What happens before the publisher hears of a confirmation."""
    settler: Settler = field(default_factory=MemorySettler)
    sent: list[str] = field(default_factory=list)
    """Message ids, repeats included."""

    async def publish(self, message: Outgoing, timeout: float = 2.0) -> None:
        """Confirm at once. Raises BusUnavailable as told."""
        if not self.connected or self.refuses(message):
            raise BusUnavailable
        self.sent.append(message.message_id)
        if self.confirmed:
            await self.confirmed()

    @property
    def kept(self) -> set[str]:
        """What a consumer will see."""
        return set(self.sent)
