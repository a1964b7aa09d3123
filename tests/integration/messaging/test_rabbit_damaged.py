"""A queue whose log RabbitMQ can't open, as after a full disk, costs its own lane and little else."""

import asyncio
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from penstock_common.messaging.connect import apply_topology, make_inspector
from penstock_common.messaging.envelope import envelop
from penstock_common.messaging.ports import Incoming
from penstock_common.messaging.rabbit.bus import RabbitBus
from penstock_common.messaging.runtime import Runtime
from tests.conftest import Start
from tests.integration.messaging.proxy import Proxy
from tests.integration.messaging.rig import until
from tests.integration.messaging.service import Journal, router
from tests.integration.messaging.shop import ON_PAID, ON_SHIPPED, PAID, SHIPPED, SHOP, Paid, Shipped
from tests.integration.messaging.test_rabbit_limits import connected
from tests.support.rabbitmq import RabbitServer, ask
from tests.support.servers import Server, rabbitmq_server

pytestmark = pytest.mark.integration

CONTROL = "usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmqctl"
WATCHED = 4.0  # seconds; the damaged queue is tried at least twice in them
WITHIN = 15.0  # seconds; longer than the longest pause between two tries


def damage(server: Server, queue: str) -> None:
    """Stop the queue's own process, which nobody starts again: opening it ends as for a log that can't be read."""
    assert isinstance(server.kind, RabbitServer)
    script = next(server.kind.root.glob(CONTROL))
    stop = f"ra:stop_server(quorum_queues, {{'%2F_{queue}', node()}})."
    environment = dict(server.kind.program().env)
    subprocess.run(["/bin/bash", str(script), "eval", stop], env=environment, check=True, capture_output=True)


def delete(server: Server, queue: str) -> None:
    """What an operator does."""
    assert isinstance(server.kind, RabbitServer)
    ask(server.kind.api, f"/queues/%2F/{queue}", "DELETE")


def named(logs: list[EventDict]) -> list[str]:
    """The queues that are said to be damaged."""
    return [line["channel"] for line in logs if line["event"] == "bus.queue_damaged"]


@asynccontextmanager
async def serving(bus: RabbitBus, journal: Path) -> AsyncIterator[Journal]:
    """A process of the shop."""
    runtime = Runtime(bus, SHOP, router, Journal(journal))
    await runtime.start()
    try:
        yield runtime.deps
    finally:
        await runtime.stop()


async def test_a_queue_that_can_not_be_opened_is_told_of_and_does_not_hold_up_the_others(private_server: Start) -> None:
    """Each attempt to open it costs a connection: soon one on which nobody else is."""
    server = private_server(rabbitmq_server())
    await apply_topology(server.url, SHOP)
    received = list[str]()

    async def take(message: Incoming) -> None:
        received.append(message.message_id)
        await bus.settler.ack(message)

    async with Proxy(server.url) as proxy, connected(proxy.url) as bus:
        await bus.pull(ON_PAID, take)
        await bus.pull(ON_SHIPPED, take)
        with capture_logs() as logs:
            await asyncio.to_thread(damage, server, ON_PAID.name)
            proxy.cut()
            await until(lambda: named(logs), WITHIN)
            assert named(logs) == [ON_PAID.name]
            logs.clear()
            await asyncio.sleep(WATCHED)
            assert not [line for line in logs if line["event"] == "bus.disconnected"]
        sent = envelop(Shipped(id="s"), SHIPPED)
        await bus.publish(sent)
        await until(lambda: received == [sent.message_id])


async def test_a_process_starts_beside_a_damaged_queue(private_server: Start, tmp_path: Path) -> None:
    """Its other lanes receive; doctor's look names the queue; deleted, it is made anew, and received from again."""
    server = private_server(rabbitmq_server())
    await apply_topology(server.url, SHOP)
    await asyncio.to_thread(damage, server, ON_PAID.name)
    with capture_logs() as logs:
        async with connected(server.url) as bus, serving(bus, tmp_path / "journal") as journal:
            await bus.publish(envelop(Shipped(id="shipped"), SHIPPED))
            await until(lambda: journal.count("done", "shipped"))
            await until(lambda: named(logs), WITHIN)
            assert named(logs) == [ON_PAID.name]
            assert await make_inspector(server.url).damaged(SHOP) == [ON_PAID.name]
            await asyncio.to_thread(delete, server, ON_PAID.name)
            await apply_topology(server.url, SHOP, tell=False)
            await bus.publish(envelop(Paid(id="paid"), PAID))
            await until(lambda: journal.count("done", "paid"), WITHIN)
    assert await make_inspector(server.url).damaged(SHOP) == []
