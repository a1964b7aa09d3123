"""One transaction: the inbox rows of what is handled, its effects, the outbox rows of what follows."""

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Generic

import asyncpg
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection
from typing_extensions import TypeVar

from penstock_common.contracts.base import Contract
from penstock_common.db import inbox
from penstock_common.db.direct import Direct
from penstock_common.db.engine import driver_of, make_engine, translated
from penstock_common.db.outbox import COLUMNS, OutboxRow, insert_statement
from penstock_common.ids import uuid7
from penstock_common.messaging.delivery import DELIVERED
from penstock_common.messaging.envelope import CONTEXT, envelop, inherited
from penstock_common.messaging.ports import Incoming
from penstock_common.messaging.topology import Topology
from penstock_common.tracing.spans import Kind, leaf

M = TypeVar("M", bound=Contract, default=Contract)
Offer = Callable[[Sequence[OutboxRow]], None]


@dataclass
class Transaction(Generic[M]):
    """Runs statements, collects messages to publish; the block that opened it commits."""

    connection: AsyncConnection
    fresh: Sequence[M]
    """The messages not handled before, in order."""
    topology: Topology
    causes: dict[int, Incoming]
    rows: list[OutboxRow]

    def publish(self, message: Contract, *, message_id: str = "", because_of: Contract | None = None) -> None:
        """Publish once this transaction commits. `message_id` defaults to a new uuid7 and must begin with one."""
        cause = self.causes.get(id(because_of))
        self.rows.append(outbox_row(self.topology, message, message_id, cause))


class Database:
    """A service's own schema."""

    def __init__(self, url: str, schema: str, topology: Topology, *, pool_size: int = 5) -> None:
        self.schema, self.topology = schema, topology
        self.engine = make_engine(url, name=f"penstock-{schema}", pool_size=pool_size)
        self.offer: Offer = lambda rows: None
        self.direct = Direct(self.engine)
        """For this service's most frequent statements."""
        self._insert_outbox = text(insert_statement(schema))
        self._described = {"db.system.name": "postgresql", "db.namespace": schema}

    @asynccontextmanager
    async def transaction(self, messages: M | Sequence[M] = ()) -> AsyncIterator[Transaction[M]]:
        """Begin, and commit at the end of the block.

        With the message or messages that the running handler was given, their inbox rows are part of it: `fresh`
        holds those not seen before, and AlreadyHandled ends the handler where none is.
        """
        given = (messages,) if isinstance(messages, Contract) else messages
        rows: list[OutboxRow] = []
        with leaf(f"transaction {self.schema}", Kind.CLIENT, self._described):
            async with translated(), self.engine.begin() as connection:
                incoming = deliveries_of(given)
                seen = await inbox.insert(connection, self.schema, incoming) if incoming else set()
                fresh = [m for i, m in enumerate(given) if i not in seen]
                if given and not fresh:
                    raise inbox.AlreadyHandled
                causes = {id(m): d for m, d in zip(given, incoming, strict=False)}
                yield Transaction(connection, fresh, self.topology, causes, rows)
                if rows:
                    await connection.execute(self._insert_outbox, columns_of(rows))
        self.offer(rows)

    async def at_once(self, statement: str, given: Iterable[object], rows: Sequence[OutboxRow]) -> None:
        """Run a statement that is a transaction of its own, and then have the outbox rows published that it wrote.

        Raises DatabaseUnavailable, else what the driver raises.
        """
        with leaf(f"transaction {self.schema}", Kind.CLIENT, self._described):
            await self.direct.fetch(statement, *given)
        self.offer(rows)

    async def finds(self, question: str, *given: object) -> bool:
        """Whether there is something to do, by a statement that gives one boolean: for what is asked all the time.

        Raises DatabaseUnavailable.
        """
        async with self.driver() as driver:
            return bool(await driver.fetchval(question, *given))

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """A connection for reading, or for single statements that commit themselves."""
        async with translated(), self.engine.connect() as connection:
            yield await connection.execution_options(isolation_level="AUTOCOMMIT")

    @asynccontextmanager
    async def driver(self) -> AsyncIterator[asyncpg.Connection]:
        """The same for a statement that is run so often that SQLAlchemy's part of it counts.

        After anything but the server's own refusal the connection is given up: nobody knows what state it is in.
        """
        async with translated(), self.engine.connect() as connection:
            driver = await driver_of(connection)
            try:
                yield driver
            except BaseException as error:
                if driver.is_closed() or not isinstance(error, asyncpg.PostgresError):
                    driver.terminate()
                    await connection.invalidate()
                raise

    async def warm(self) -> None:
        """Open the first connection, which takes longest. Raises DatabaseUnavailable."""
        async with self.reading():
            pass

    async def reachable(self) -> bool:
        """Whether a query is answered now."""
        try:
            async with self.driver() as driver:
                await driver.fetch("select 1")
        except Exception:
            return False
        return True

    async def close(self) -> None:
        """Give the connections back."""
        await self.direct.close()
        await self.engine.dispose()


def outbox_row(topology: Topology, message: Contract, message_id: str, cause: Incoming | None) -> OutboxRow:
    """A message with the row that keeps it, because of a delivery or else of what the running handler was given."""
    context = inherited(cause) if cause else CONTEXT.get()
    return OutboxRow(uuid7(), envelop(message, topology.topic(type(message)), message_id=message_id, context=context))


def deliveries_of(messages: Sequence[Contract]) -> Sequence[Incoming]:
    """The deliveries that brought these messages to the running handler. Raises RuntimeError outside of one."""
    if not messages:
        return ()
    delivered = DELIVERED.get()
    if delivered is None or len(delivered[1]) != len(messages):
        raise RuntimeError("transaction(messages) takes exactly what the running handler was given")
    return delivered[1]


def columns_of(rows: Sequence[OutboxRow]) -> dict[str, Sequence[object]]:
    """Outbox rows as parameters of one statement, one array a column."""
    return dict(zip(COLUMNS, zip(*(row.values for row in rows), strict=True), strict=True))
