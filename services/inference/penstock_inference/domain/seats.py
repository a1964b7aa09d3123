"""The slots of a lane: who may take one, and how many may wait for one."""

from dataclasses import dataclass
from uuid import UUID

from penstock_common.errors import Fault, PenstockError

ENTERPRISE = "enterprise"
"""The tier for which slots are reserved; every other one is ordinary."""


MOST = 65_000
"""Requests that one lane of a process may hold, those that wait included: AMQP counts a prefetch in 16 bits."""


class Overloaded(PenstockError):
    """Too many requests wait already; nothing was charged. Send the request again later."""

    code = "inference.overloaded"
    fault = Fault.LIMITED

    def __init__(self, message: str = "", retry_after: float = 5.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Size:
    """How much one process takes of one lane."""

    slots: int
    reserved: int = 0
    """Of these, for the tier `enterprise` alone."""
    waiting: int = 0
    """Requests that may wait beside them, of all tenants."""
    tenant_waiting: int = 0
    """The same of one tenant."""
    waiting_bytes: int = 256 << 20
    """Of their sealed bodies, which are in memory meanwhile."""

    def refusal(self, waiting: int, tenant_waiting: int, waiting_bytes: int) -> str:
        """Why nothing more may wait, in words for the client; empty where there is room."""
        if tenant_waiting >= self.tenant_waiting:
            return f"{tenant_waiting} requests of this project wait already"
        if waiting_bytes >= self.waiting_bytes:
            return f"{waiting_bytes >> 20} MiB of requests wait already"
        return f"{waiting} requests wait already" if waiting >= self.waiting else ""


def size_of(slots: int, reserved: int | None = None, waiting: int | None = None) -> Size:
    """Slots with what follows from them where it is not told: a tenth reserved, four times as many waiting.

    Of those a tenant has half. Raises ValueError.
    """
    reserved = slots // 10 if reserved is None else reserved
    if reserved >= slots:
        raise ValueError(f"of {slots} slots at most {slots - 1} may be reserved, not {reserved}")
    waiting = min(4 * slots, MOST - slots) if waiting is None else waiting
    if slots + waiting > MOST:
        raise ValueError(f"{slots} slots and {waiting} waiting are more than {MOST}, which one process may hold")
    return Size(slots, reserved, waiting, -(-waiting // 2))


class Seats:
    """Counts what is at work."""

    __slots__ = ("_open", "_ordinary", "_slots", "_tenants", "taken")

    def __init__(self, size: Size) -> None:
        self._slots, self._open = size.slots, size.slots - size.reserved
        self._ordinary = self.taken = 0
        self._tenants: dict[UUID, int] = {}

    @property
    def is_open(self) -> bool:
        """Whether one is free for everybody."""
        return self._ordinary < self._open and self.taken < self._slots

    @property
    def is_free(self) -> bool:
        """Whether one is free at all, be it a reserved one."""
        return self.taken < self._slots

    def take(self, tenant: UUID, tier: str) -> bool:
        """Take one; False where none is free for that tier."""
        if self.taken >= self._slots:
            return False
        if tier != ENTERPRISE:
            if self._ordinary >= self._open:
                return False
            self._ordinary += 1
        self.taken += 1
        self._tenants[tenant] = self._tenants.get(tenant, 0) + 1
        return True

    def leave(self, tenant: UUID, tier: str) -> None:
        """Give it back."""
        self.taken -= 1
        if tier != ENTERPRISE:
            self._ordinary -= 1
        left = self._tenants[tenant] - 1
        if left:
            self._tenants[tenant] = left
        else:
            del self._tenants[tenant]

    def has(self, tenant: UUID) -> bool:
        """Whether something of a tenant is at work."""
        return tenant in self._tenants
