"""What every service stands on: a bus, a schema of its own, and the relay between them."""

import asyncio
import contextlib
import signal

from penstock_common.archive.archiver import Archiver
from penstock_common.db.handled import HandledAnswers
from penstock_common.db.heads import require_schema
from penstock_common.db.partitions import Partitions
from penstock_common.db.relay import Relay
from penstock_common.db.replay import Replay
from penstock_common.db.transaction import Database
from penstock_common.messaging.connect import make_bus
from penstock_common.objects_url import objects_at
from penstock_common.settings import ServiceSettings
from penstock_common.topology import PLATFORM


class Foundation:
    """The bus and the database of one process, with what keeps them going."""

    def __init__(self, service: str, settings: ServiceSettings) -> None:
        self.service, self.url = service, settings.database.url.get_secret_value()
        self.bus = make_bus(settings.bus.url.get_secret_value(), service)
        self.database = Database(self.url, service, PLATFORM, pool_size=settings.database.pool_size)
        self.partitions = Partitions(self.database)
        self.relay = Relay(self.database, self.bus, service)
        self.replay = Replay(self.database, self.bus, service)
        self.handled = HandledAnswers(self.database, self.bus, service)
        archive = settings.archive
        self.archiver = Archiver(self.database, self.url, objects_at(archive.url), archive) if archive.url else None
        if not settings.relay:
            self.relay.pause()

    async def connect(self) -> None:
        """Reach the bus and the schema, and make partitions; may be repeated while it raises.

        Raises BusUnavailable, DatabaseUnavailable.
        """
        if not self.bus.connected:
            await self.bus.connect()
        await require_schema(self.url, self.service)
        await self.database.warm()
        await self.partitions.start()  # last, as it begins: on a busy database its turn may not come in time

    async def start(self) -> None:
        """Publish what the outbox holds, and archive it."""
        with contextlib.suppress(ValueError, RuntimeError):  # a loop beside the main thread hears no signals
            asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, self.relay.pause)
        await self.relay.start()
        self.replay.start()
        await self.handled.start()
        if self.archiver:
            self.archiver.start()

    async def stop(self) -> None:
        """Publish what waits, then disconnect."""
        if self.archiver:
            await self.archiver.stop()
        await self.handled.stop()
        await self.replay.stop()
        await self.relay.stop()
        await self.partitions.stop()
        await self.bus.close()
        await self.database.close()

    async def checks(self) -> dict[str, bool]:
        """Whether each dependency answers now."""
        return {"bus": self.bus.connected, "database": await self.database.reachable()}
