"""A queued request that could not be handled ends `failed` for its client, whichever of its messages it was."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from penstock_common.errors import ContractViolated
from penstock_common.messaging.connect import connect_bus
from penstock_common.messaging.delivery import Delivery
from penstock_common.messaging.ports import Incoming
from penstock_common.service import begin
from penstock_common.topology import PLATFORM
from tests.integration.inference.crash.endings import until
from tests.integration.inference.crash.process import Orders, narrow
from tests.support.chat import ApiProcess, api_process
from tests.support.databases import Databases
from tests.support.inference import inference_process, make_inference
from tests.support.replicas import client_of
from tests.support.submitting import a_request, ended, failed, rows, submitted

pytestmark = pytest.mark.integration


@pytest.fixture
async def api(platform_databases: Databases, bus_url: str, tmp_path: Path) -> AsyncIterator[ApiProcess]:
    """An api that knows its models; inference comes and goes."""
    async with api_process(platform_databases, bus_url, tmp_path / "keyring") as api:
        async with inference_process(platform_databases, bus_url, tmp_path):
            await until(lambda: api.app.catalogue.version, lambda: "no catalogue")
        yield api


@asynccontextmanager
async def refusing(bus_url: str, handler: str) -> AsyncIterator[list[str]]:
    """A process for which the messages of one handler can't be handled; gives their ids as they come."""
    bus, lane = await connect_bus(bus_url, "test"), PLATFORM.consumer("inference", handler)
    delivery, refused = Delivery(bus.settler), list[str]()

    async def refuse(_: Incoming) -> None:
        raise ContractViolated("not today")

    async def deliver(message: Incoming) -> None:
        await delivery.run(refuse, message, lane)
        refused.append(message.message_id)

    subscription = await bus.pull(lane, deliver)
    yield refused
    await subscription.stop()
    await bus.close()


@asynccontextmanager
async def dispatching(databases: Databases, bus_url: str, folder: Path) -> AsyncIterator[None]:
    """An inference process that queues and gives turns, and leaves the turns to others."""
    url = databases.services["inference"]
    app = make_inference(url, bus_url, folder)
    narrow(app, Orders(url, bus_url, str(folder), str(folder), ["queue_text"], slots=8))
    await begin(app)
    yield
    await app.stop()


async def test_what_could_not_be_queued_has_failed(
    platform_databases: Databases, bus_url: str, tmp_path: Path, api: ApiProcess
) -> None:
    """Its client finds the failure; nothing is charged, and the queue never had it."""
    async with client_of(api) as client:
        async with refusing(bus_url, "queue_text") as refused:
            id_ = await submitted(client, a_request("never"))
            await until(lambda: refused, lambda: "nothing came")
        async with inference_process(platform_databases, bus_url, tmp_path):
            state = await failed(client, id_)
    assert (state["state"], state["error_code"]) == ("failed", "inference.undeliverable")
    assert state["tokens"]["completion"] == 0


async def test_a_turn_that_could_not_be_handled_is_over(
    platform_databases: Databases, bus_url: str, tmp_path: Path, api: ApiProcess
) -> None:
    """The request has failed, and its slot is free."""
    async with client_of(api) as client:
        async with refusing(bus_url, "batch_text") as refused, dispatching(platform_databases, bus_url, tmp_path):
            id_ = await submitted(client, a_request("never"))
            await until(lambda: refused, lambda: "nothing came")
        async with inference_process(platform_databases, bus_url, tmp_path, queue={"slots": 1}):
            assert (await failed(client, id_))["error_code"] == "inference.undeliverable"
            other = await submitted(client, a_request("after it"))
            assert (await ended(client, other))["state"] == "succeeded"
    assert (
        await rows(platform_databases, "select request_id from inference.queue where request_id::text = $1", id_) == []
    )
