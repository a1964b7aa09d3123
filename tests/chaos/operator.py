"""What a person does in a chaos run who watches `penstock doctor`: mends what RabbitMQ can't mend by itself."""

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import quote

from tests.chaos.hosts import Host
from tests.support.rabbitmq import RabbitServer, ask
from tests.support.servers import Server

LOOK_SECONDS = 1.0
SETTLED = 5.0  # seconds in which a queue has a leader, or never will
AGAIN = 20.0  # seconds in which a queue that was made anew proves that it lives


@dataclass
class Operator:
    """Looks after one bus, and says what was done to it."""

    host: Host
    tell: Callable[[str], None]
    _damaged: dict[str, float] = field(default_factory=dict)
    """Queue → since when it has no leader."""
    _deleted: dict[str, float] = field(default_factory=dict)

    async def tend(self) -> None:
        """Until it is cancelled.

        RabbitMQ may be unable to open a quorum queue that was written to a full disk: it is deleted, and the platform
        makes it anew. A node that can't keep the new one either has lost a part of itself, and is started again.
        """
        server = self.host.server
        if not (isinstance(server, Server) and isinstance(server.kind, RabbitServer)):
            return
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            async with self.host.turn:
                try:
                    await self._look(server.kind.api)
                except OSError:  # it is away, or frozen
                    self._damaged.clear()

    async def _look(self, api: str) -> None:
        now, names = time.monotonic(), await asyncio.to_thread(without_leader, api)
        self._damaged = {name: self._damaged.get(name, now) for name in names}
        for name in [name for name, since in self._damaged.items() if now - since >= SETTLED]:
            if now - self._deleted.get(name, -AGAIN) < AGAIN:
                self._deleted.clear()
                self.tell(f"started again for {name}")
                await self.host.start_again()
                return
            await asyncio.to_thread(ask, api, f"/queues/%2F/{quote(name, safe='')}", "DELETE")
            self.tell(f"deleted {name}")
            self._deleted[name] = now


def without_leader(api: str) -> list[str]:
    """The names of quorum queues that nobody can write to or read."""
    queues = json.loads(ask(api, "/queues?disable_stats=true&enable_queue_totals=true"))
    return [queue["name"] for queue in queues if queue.get("type") == "quorum" and not queue.get("online")]
