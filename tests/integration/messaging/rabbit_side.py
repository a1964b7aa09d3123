"""The suite on RabbitMQ."""

import asyncio
import contextlib
import json
import shutil
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import aiormq
from aiormq.abc import AbstractChannel, DeliveredMessage

from penstock.platform.program import Program
from penstock_common.messaging.deadletter import DeadLetter
from penstock_common.messaging.rabbit.declared import Queue, declared
from penstock_common.messaging.rabbit.wire import incoming
from penstock_common.messaging.topology import Consumer, Topology
from tests.support.rabbitmq import RabbitServer, ask
from tests.support.servers import Server, rabbitmq_server

SETTLED = 4.0
"""Seconds. RabbitMQ 3.10 writes down late which queues it has: one made just before kill -9 never works again."""
TICK = 0.1  # seconds between two counts of a queue's messages; 5 s unless told
TOTALS = "/queues/%2F?disable_stats=true&enable_queue_totals=true"  # its statistics are seconds old


class RabbitSide:
    """Queues, looked at from outside."""

    deliveries_of_a_repeat = 2
    frozen_within = 15.0

    def __init__(self) -> None:
        usual = rabbitmq_server()
        assert isinstance(usual.kind, RabbitServer)
        self.server: SettlingServer = SettlingServer(TickingBroker(**asdict(usual.kind)), usual.home)

    @contextlib.asynccontextmanager
    async def channel(self) -> AsyncIterator[AbstractChannel]:
        """A short connection, so that the server may be killed between two looks."""
        async with aiormq.connect(self.server.url) as connection:
            yield await connection.channel()

    async def wipe(self, topology: Topology) -> None:
        """Delete all queues and what is in them.

        A server that was killed begins from nothing: deleted soon after, its queues take its dead-lettering along.
        """
        if self.server.killed:
            await asyncio.to_thread(self.server.renew)
        else:
            await self._delete(topology)
        self.server.laid_out = time.monotonic()

    async def lose(self) -> None:
        """Its database is deleted while the server is down."""
        await asyncio.to_thread(self.server.renew)
        self.server.laid_out = time.monotonic()

    async def _delete(self, topology: Topology) -> None:
        async with self.channel() as channel:
            for thing in declared(topology):
                if isinstance(thing, Queue):
                    await channel.queue_delete(thing.name)

    async def letters(self, consumer: Consumer) -> Sequence[DeadLetter]:
        """Taken, and given back by closing the connection."""
        async with self.channel() as channel:
            taken: list[DeliveredMessage] = []
            while (message := await channel.basic_get(consumer.dead_letters)).delivery_tag:
                taken.append(message)
        read = [incoming(message, consumer, 0.0) for message in taken]
        return [DeadLetter.parse(letter.headers, letter.body) for letter in read]

    async def remove(self, consumer: Consumer) -> None:
        """Delete the queue."""
        async with self.channel() as channel:
            await channel.queue_delete(consumer.name)
        self.server.laid_out = time.monotonic()

    async def unsettled(self, consumer: Consumer) -> int:
        """Ready, or out with a process, as the broker counts shortly after."""
        await asyncio.sleep(4 * TICK)
        counted = json.loads(await asyncio.to_thread(ask, self.server.broker.api, TOTALS))
        return next(int(queue["messages"]) for queue in counted if queue["name"] == consumer.name)


class TickingBroker(RabbitServer):
    """Counts often."""

    def prepare(self) -> None:
        """Write the configuration, and what can't be said in it."""
        super().prepare()
        self._advanced.write_text(f"[{{rabbit, [{{quorum_tick_interval, {round(TICK * 1000)}}}]}}].\n")

    def program(self) -> Program:
        """As usual, with that file."""
        usual = super().program()
        return replace(usual, env={**usual.env, "RABBITMQ_ADVANCED_CONFIG_FILE": str(self._advanced)})

    @property
    def _advanced(self) -> Path:
        return self.home / "advanced.config"


class SettlingServer(Server):
    """Is killed only once it has written down the queues of the test."""

    laid_out = -SETTLED
    killed = False

    def renew(self) -> None:
        """Start without what it kept."""
        super().kill()
        shutil.rmtree(self.broker.home / "mnesia")
        super().start()
        self.killed = False

    @property
    def broker(self) -> RabbitServer:
        """The program that it runs."""
        assert isinstance(self.kind, RabbitServer)
        return self.kind

    def kill(self) -> None:
        """Wait for the broker to know its queues, then kill -9."""
        time.sleep(max(0.0, self.laid_out + SETTLED - time.monotonic()))
        super().kill()
        self.killed = True

    def dispose(self) -> None:
        """Nothing of it is needed any more."""
        self.laid_out = -SETTLED
        super().dispose()
