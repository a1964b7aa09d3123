"""One inference process's records."""

from typing import Any

from sqlalchemy import text

from penstock_common.db.transaction import Database
from penstock_common.sealing import Sealer
from penstock_common.topology import PLATFORM
from penstock_inference.adapters.end_writer import EndWriter
from penstock_inference.adapters.generations import Generations


class Store:
    """One process's records, and what lies in its schema."""

    def __init__(self, url: str, sealer: Sealer) -> None:
        self.sealer = sealer
        self.database = Database(url, "inference", PLATFORM, pool_size=4)
        self.writer = EndWriter(self.database)
        self.records = Generations(self.database, self.writer, sealer)

    async def __aenter__(self) -> "Store":
        self.writer.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.writer.stop()
        await self.database.close()

    async def rows(self, query: str, **given: Any) -> list[Any]:
        """What a query finds: scalars where it asks for one column."""
        async with self.database.reading() as connection:
            found = [tuple(row) for row in await connection.execute(text(query), given)]
        return [row[0] if len(row) == 1 else row for row in found]

    async def said(self, request_id: Any) -> list[str]:
        """Message ids in the outbox that belong to a request, by their suffix."""
        ids = await self.rows("select message_id from inference.outbox order by id")
        return [id_.partition(".")[2] for id_ in ids if id_.startswith(str(request_id))]
