"""A queue whose log RabbitMQ can't open, as after a full disk, costs its own lane and little else."""

import asyncio
import subprocess

import pytest
from structlog.testing import capture_logs

from penstock_common.messaging.connect import apply_topology
from penstock_common.messaging.envelope import envelop
from penstock_common.messaging.ports import Incoming
from tests.conftest import Start
from tests.integration.messaging.proxy import Proxy
from tests.integration.messaging.rig import until
from tests.integration.messaging.shop import ON_PAID, ON_SHIPPED, SHIPPED, SHOP, Shipped
from tests.integration.messaging.test_rabbit_limits import connected
from tests.support.rabbitmq import RabbitServer
from tests.support.servers import Server, rabbitmq_server

pytestmark = pytest.mark.integration

CONTROL = "usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmqctl"
WATCHED = 10.0  # seconds
MOST = 12
"""Lost connections in that time; without a pause that grows there is one every 0.4 s."""


def damage(server: Server, queue: str) -> None:
    """Stop the queue's own process, which nobody starts again: opening it ends as for a log that can't be read."""
    assert isinstance(server.kind, RabbitServer)
    script = next(server.kind.root.glob(CONTROL))
    stop = f"ra:stop_server(quorum_queues, {{'%2F_{queue}', node()}})."
    environment = dict(server.kind.program().env)
    subprocess.run(["/bin/bash", str(script), "eval", stop], env=environment, check=True, capture_output=True)


async def test_a_queue_that_can_not_be_opened_is_told_of_and_does_not_hold_up_the_others(private_server: Start) -> None:
    """Each attempt to open it costs every lane of the process its connection: they become few."""
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
            await until(lambda: any(line["event"] == "bus.queue_damaged" for line in logs), 30)
            told = next(line for line in logs if line["event"] == "bus.queue_damaged")
            assert ON_PAID.name in told["channel"]
            logs.clear()
            await asyncio.sleep(WATCHED)
            assert sum(line["event"] == "bus.disconnected" for line in logs) <= MOST
        sent = envelop(Shipped(id="s"), SHIPPED)
        await bus.publish(sent)
        await until(lambda: received == [sent.message_id], 15)
