"""Outbox and inbox: what is committed takes effect exactly once, through two relays and a bus of any weather."""

import asyncio
import contextlib
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, ClassVar, cast

from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule
from sqlalchemy import text

from penstock_common.contracts.keys import KeyCreated
from penstock_common.db.relay import Relay
from penstock_common.db.transaction import Database, Transaction
from penstock_common.errors import DatabaseUnavailable, PenstockError
from penstock_common.ids import DAY_MS, uuid7
from penstock_common.messaging import addressing
from penstock_common.messaging.delivery import Delivery
from penstock_common.messaging.envelope import opened
from penstock_common.messaging.ports import Incoming, Outgoing
from penstock_common.messaging.topology import Batch, Consumer
from penstock_common.topology import KEY_CREATED, PLATFORM
from tests.state_machines.machine import Machine
from tests.state_machines.model_bus import Died, ModelBus, ModelSettler, Weather, delivery_of

LANE = Consumer("trial", "on_key_created", KEY_CREATED, batch=Batch())
PASSED = "update trial.outbox set created_at = created_at - interval '1 minute', retry_at = '-infinity'"
"""So much time passes that every row is an orphan, and every delay over."""
NOON_MS = 1_795_262_400_000  # 2026-11-21
EFFECT = "insert into trial.effects values (:id)"


class OutboxMachine(Machine):
    """Two processes that write, relay and handle; `url` is a database with the schema `trial`."""

    url: ClassVar[str]

    async def open(self) -> None:
        """An empty schema."""
        self.bus = ModelBus()
        self.databases = [Database(self.url, "trial", PLATFORM, pool_size=3) for _ in range(2)]
        self.relays = [Relay(database, cast(Any, self.bus), "trial") for database in self.databases]
        for database in self.databases:
            database.offer = lambda rows: None  # whoever wrote them died, and the poller finds them
        self.committed: set[str] = set()
        self.handled: set[str] = set()
        self.begun: list[tuple[AbstractAsyncContextManager[Transaction], Transaction]] = []
        await self._execute("truncate trial.outbox, trial.inbox, trial.effects")

    async def close(self) -> None:
        """No connection is left."""
        for begun, _ in self.begun:
            with contextlib.suppress(Died):
                await begun.__aexit__(Died, Died(), None)
        for database in self.databases:
            await database.close()

    @rule(process=st.integers(0, 1), count=st.integers(1, 3), day=st.integers(-1, 1))
    def commit(self, process: int, count: int, day: int) -> None:
        """A transaction with messages, whose ids are of today or of a day beside it."""
        self.run(self._commit(process, count, day))

    async def _commit(self, process: int, count: int, day: int) -> None:
        async with self.databases[process].transaction() as tx:
            ids = [self._say(tx, day) for _ in range(count)]
        self.committed |= set(ids)

    def _say(self, tx: Transaction, day: int = 0) -> str:
        key = uuid7(NOON_MS + day * DAY_MS)
        tx.publish(KeyCreated(key_id=key, tenant=uuid7(), version=1), message_id=str(key))
        return str(key)

    @precondition(lambda self: not self.begun)
    @rule(process=st.integers(0, 1))
    def begin(self, process: int) -> None:
        """A transaction that will be late: its row's id is older than those of others, which commit first."""
        self.run(self._begin(process))

    async def _begin(self, process: int) -> None:
        begun = self.databases[process].transaction()
        tx = await begun.__aenter__()
        self._say(tx)
        await tx.connection.execute(text("select 1"))
        self.begun.append((begun, tx))

    @precondition(lambda self: self.begun)
    @rule(commits=st.booleans())
    def end(self, commits: bool) -> None:
        """It commits at last, or its process dies."""
        self.run(self._end(commits))

    async def _end(self, commits: bool) -> None:
        begun, tx = self.begun.pop()
        if commits:
            with contextlib.suppress(PenstockError):  # PostgreSQL ends one that idles for long: it never was
                await begun.__aexit__(None, None, None)
                self.committed |= {row.outgoing.message_id for row in tx.rows}
        else:
            with contextlib.suppress(Died):
                await begun.__aexit__(Died, Died(), None)

    @rule(process=st.integers(0, 1), weather=st.sampled_from(Weather))
    def relay(self, process: int, weather: Weather) -> None:
        """One turn of one relay."""
        self.run(self._relay([process], weather))

    @rule(weather=st.sampled_from(Weather))
    def relay_side_by_side(self, weather: Weather) -> None:
        """One turn of both at once."""
        self.run(self._relay([0, 1], weather))

    async def _relay(self, processes: Sequence[int], weather: Weather) -> None:
        await self._execute(PASSED)
        self.bus.weather = weather
        found = await asyncio.gather(*(self.relays[p].publish_orphans() for p in processes), return_exceptions=True)
        self.bus.weather = Weather.FAIR
        # PostgreSQL ends a transaction that idles for long, as on a busy machine: the next turn finds its rows.
        assert all(isinstance(each, int | Died | DatabaseUnavailable) for each in found), found

    @precondition(lambda self: self.bus.kept)
    @rule(which=st.integers(0, 10**6))
    def say_again(self, which: int) -> None:
        """An operator says a message again to its consumer alone; the inbox still knows it."""
        self.bus.kept.append(said_again(self.bus.kept[which % len(self.bus.kept)]))

    @rule(process=st.integers(0, 1), which=st.lists(st.integers(0, 10**6), min_size=1, max_size=4), data=st.data())
    def deliver(self, process: int, which: list[int], data: st.DataObject) -> None:
        """Any messages, in any order, again or not; the process may die before or after the commit."""
        fate = data.draw(st.sampled_from(["lives", "dies before the commit", "dies before the ack"]))
        if not self.bus.kept:
            self.commit(process=process, count=3, day=0)
            self.relay(process=process, weather=Weather.FAIR)
        messages = [delivery_of(self.bus.kept[n % len(self.bus.kept)]) for n in which]
        self.run(self._deliver(process, messages, fate))

    async def _deliver(self, process: int, messages: Sequence[Incoming], fate: str = "lives") -> None:
        settler = ModelSettler(dies=fate == "dies before the ack")

        async def handle(given: Sequence[Incoming]) -> None:
            events = [opened(message, KeyCreated) for message in given]
            async with self.databases[process].transaction(events) as tx:
                for event in tx.fresh:
                    await tx.connection.execute(text(EFFECT), {"id": str(event.key_id)})
                if fate == "dies before the commit":
                    raise Died

        await Delivery(settler).run_batch(handle, messages, LANE)
        if fate != "dies before the commit":
            self.handled |= {message.message_id for message in messages}
        assert set(settler.acked) <= self.handled

    @invariant()
    def effects_are_those_of_handled_messages(self) -> None:
        """Each once, and of committed messages alone."""
        effects = self.run(self._column("select message from trial.effects"))
        assert sorted(effects) == sorted(self.handled)
        assert self.handled <= self.committed

    async def settle(self) -> None:
        """Everything that was committed takes effect, and what is said again by an operator none."""
        if self.begun:
            await self._end(commits=True)
        for _ in range(3):
            await self._relay([0, 1], Weather.FAIR)
        for message in self.bus.kept:
            await self._deliver(0, [delivery_of(message), delivery_of(said_again(message))])
        assert sorted(await self._column("select message from trial.effects")) == sorted(self.committed)
        assert await self._column("select id from trial.outbox where published_at is null") == []

    async def _execute(self, statement: str) -> None:
        async with self.databases[0].engine.begin() as connection:
            await connection.execute(text(statement))

    async def _column(self, statement: str) -> list[Any]:
        async with self.databases[0].reading() as connection:
            return list(await connection.scalars(text(statement)))


def said_again(message: Outgoing) -> Outgoing:
    """A message on its way to one consumer alone."""
    return addressing.addressed(message, LANE, str(uuid7()))
