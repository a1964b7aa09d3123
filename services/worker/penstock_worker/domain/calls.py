"""Calls to the outside: each has an id that every process gives it, however often it is made."""

import hashlib
from dataclasses import dataclass
from uuid import UUID

TAIL_BITS = 62


@dataclass(frozen=True, slots=True)
class Call:
    """A call that a step makes."""

    id: UUID
    """The same in every attempt: the idempotency key of a tool."""
    attempt: int = 1
    repeated: bool = False
    """Whether a process that died may have made it already."""

    @property
    def request_id(self) -> UUID:
        """Of a model, which answers a request only once, be it with a failure: each attempt is a request of its own."""
        return self.id if self.attempt == 1 else derived(self.id, f"attempt-{self.attempt}")

    def named(self, name: str) -> "Call":
        """A call that belongs to this one."""
        return Call(derived(self.id, name), self.attempt, self.repeated)


def derived(id_: UUID, name: str) -> UUID:
    """A uuid7 of the same time: the same for the same name."""
    digest = hashlib.sha256(id_.bytes + name.encode()).digest()
    tail = int.from_bytes(digest[:8]) >> (64 - TAIL_BITS)
    return UUID(int=id_.int >> TAIL_BITS << TAIL_BITS | tail)
