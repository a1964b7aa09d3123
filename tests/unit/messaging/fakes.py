"""A settler that writes down what it is told, and messages for it."""

from collections.abc import Sequence

from penstock_common.contracts.base import Contract, encode
from penstock_common.messaging.ports import Incoming
from penstock_common.messaging.topology import Batch, Consumer, Runner, Topic


class Counted(Contract, frozen=True):
    """A message for tests."""

    n: int


class Other(Contract, frozen=True):
    """Another one."""

    n: int


COUNTED = Topic("test.thing.counted.v1", Counted, "test", stream="TEST")
LANE = Consumer("test", "on_counted", COUNTED, max_attempts=3, backoff=(0.1, 0.2), runner=Runner.PLAIN)
BATCHED = Consumer(
    "test", "on_counted", COUNTED, max_attempts=3, runner=Runner.PLAIN, batch=Batch(size=4, within_ms=20)
)


class FakeSettler:
    """Each delivery's `raw` is (attempt, silent deaths); words are (word, message id, …)."""

    def __init__(self, *, heartbeat: float | None = None, broken: bool = False) -> None:
        self.heartbeat = heartbeat
        self.broken = broken
        """Fails, as with the bus away."""
        self.words: list[tuple[object, ...]] = []

    def holds(self, message: Incoming) -> bool:
        return not message.settled

    async def opening(self, message: Incoming, lane: Consumer) -> tuple[int, int]:
        attempt, silent = message.raw
        return attempt, silent

    async def ack(self, *messages: Incoming) -> None:
        for message in messages:
            self._end(message, "ack")

    def extend(self, messages: Sequence[Incoming]) -> None:
        self.words += [("extend", message.message_id) for message in messages]

    async def retry(self, message: Incoming, lane: Consumer, delay: float, reason: str) -> None:
        self._end(message, "retry", delay, reason)

    async def hand_back(self, message: Incoming, delay: float = 0.0) -> None:
        self._end(message, "hand back", delay)

    async def quarantine(self, message: Incoming, lane: Consumer, attempts: int) -> None:
        self._end(message, "quarantine", attempts)

    async def bury(self, message: Incoming, lane: Consumer, attempts: int, reason: str) -> None:
        self._end(message, "bury", attempts, reason)

    def _end(self, message: Incoming, word: str, *more: object) -> None:
        if self.broken:
            raise ConnectionError("away")
        message.settled = True
        self.words.append((word, message.message_id, *more))


def delivered(n: int = 0, *, attempt: int = 1, silent: int = 0) -> Incoming:
    """A delivery."""
    headers = {"ce-id": str(n), "content-type": "application/json"}
    return Incoming(COUNTED.subject, str(n), headers, encode(Counted(n=n)), (attempt, silent))
