"""nats-py's client, without what it does for each message and we don't need."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import structlog
from nats.aio.client import Client
from nats.aio.subscription import Subscription

from penstock_common.messaging.nats.parser import LeanParser

log = structlog.get_logger()


@dataclass(slots=True)
class Raw:
    """A message as it was read."""

    subject: str
    reply: str
    head: bytes
    """The block of headers as it came; empty where there is none."""
    body: bytes


Take = Callable[[Raw], None]
"""Takes a message while the socket is read: must not block."""


class LeanClient(Client):
    """Connects, reconnects, pings and flushes as nats-py does.

    But nats-py looks at each character of each header name, matches each line, subject and header against patterns,
    and hands each message to a task through a queue: most of what a small message cost. It has no public way around
    that, so this overrides `_ps` and `_remove_sub`, and does what `_send_command` and `_flush_pending` do.
    """

    def __init__(self) -> None:
        super().__init__()
        self._takers: dict[int, Take] = {}
        self._ps = LeanParser(self)

    async def take(self, subject: str, take: Take, queue: str = "") -> Subscription:
        """Subscribe; `take` is called with each message. What it raises is logged."""
        number = self._sid + 1  # the one that nats-py gives next
        self._takers[number] = take
        try:
            return await self.subscribe(subject, queue)
        except BaseException:
            self._takers.pop(number, None)
            raise

    def put(self, command: bytes) -> None:
        """Put one or more whole commands behind those that wait; all of them leave together, soon."""
        self._pending.append(command)
        self._pending_data_size += len(command)
        if self.is_connected and self._flush_queue is not None and self._flush_queue.empty():
            self._flush_queue.put_nowait(asyncio.get_running_loop().create_future())

    def _remove_sub(self, sid: int, max_msgs: int = 0) -> None:
        self._takers.pop(sid, None)
        super()._remove_sub(sid, max_msgs)

    def given(self, sid: int, subject: bytes, reply: bytes, head: bytes, body: bytes) -> bool:
        """Hand a message to who takes it; False where nobody of ours does."""
        take = self._takers.get(sid)
        if take is None:
            return False
        try:
            take(Raw(subject.decode(), reply.decode(), head, body))
        except Exception:  # nats-py would stop reading
            log.exception("message.failed", subject=subject.decode())
        return True
