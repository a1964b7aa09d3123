"""A queue that RabbitMQ can't open, as after a full disk."""

import asyncio
from pathlib import Path

import pytest

from penstock_common.messaging.connect import apply_topology
from penstock_common.topology import PLATFORM
from tests.conftest import Start
from tests.integration.messaging.test_rabbit_damaged import damage
from tests.support.doctor import doctor
from tests.support.servers import rabbitmq_server

pytestmark = pytest.mark.integration


def test_a_queue_that_can_not_be_opened_is_named(private_server: Start, tmp_path: Path) -> None:
    """With the command that deletes it; every other queue is fine."""
    server = private_server(rabbitmq_server())
    asyncio.run(apply_topology(server.url))
    queue = PLATFORM.consumer("billing", "on_generation_completed").name
    damage(server, queue)
    report = doctor("--data", str(tmp_path / "data"), "--bus", server.url)
    assert report.names("bus", "can't open this queue", f"queue {queue}")
    assert f"rabbitmqctl delete_queue {queue}" in report.of("bus")["mend"]
    assert [f["where"] for f in report.findings if f["level"] == "fail" and f["check"] == "bus"] == [f"queue {queue}"]
