"""A bus in memory that confirms, refuses or is away, as a test says."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from penstock_common.errors import BusUnavailable, PenstockError
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
    groups: list[int] = field(default_factory=list)
    """How many messages each call of `publish_all` had."""

    async def publish(self, message: Outgoing, timeout: float = 2.0) -> None:
        """Confirm at once. Raises BusUnavailable as told."""
        if not self.connected or self.refuses(message):
            raise BusUnavailable
        self.sent.append(message.message_id)
        if self.confirmed:
            await self.confirmed()

    async def publish_all(self, messages: Sequence[Outgoing], timeout: float = 2.0) -> list[PenstockError | None]:
        """Each by itself."""
        self.groups.append(len(messages))
        return [await self._refused(message) for message in messages]

    async def _refused(self, message: Outgoing) -> PenstockError | None:
        try:
            await self.publish(message)
        except PenstockError as error:
            return error
        return None

    @property
    def kept(self) -> set[str]:
        """What a consumer will see."""
        return set(self.sent)
