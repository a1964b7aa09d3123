"""What every service stands on: a bus, a schema of its own, and the relay between them."""

from penstock_common.db.heads import require_schema
from penstock_common.db.partitions import Partitions
from penstock_common.db.relay import Relay
from penstock_common.db.replay import Replay
from penstock_common.db.transaction import Database
from penstock_common.messaging.connect import make_bus
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

    async def connect(self) -> None:
        """Reach the bus and the schema; may be repeated. Raises BusUnavailable, DatabaseUnavailable."""
        if not self.bus.connected:
            await self.bus.connect()
        await require_schema(self.url, self.service)
        await self.database.warm()

    async def start(self) -> None:
        """Make partitions, and publish what the outbox holds."""
        await self.partitions.start()
        await self.relay.start()
        self.replay.start()

    async def stop(self) -> None:
        """Publish what waits, then disconnect."""
        await self.replay.stop()
        await self.relay.stop()
        await self.partitions.stop()
        await self.bus.close()
        await self.database.close()

    async def checks(self) -> dict[str, bool]:
        """Whether each dependency answers now."""
        return {"bus": self.bus.connected, "database": await self.database.reachable()}
