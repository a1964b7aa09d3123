"""What is said again reaches nobody outside, unless the operator allows it."""

from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import pytest
from sqlalchemy import text

from penstock_api.adapters.catalogue import Catalogue
from penstock_api.adapters.requests_log import RequestsLog
from penstock_api.adapters.suppressed import suppress_effects
from penstock_api.domain.callbacks import CallbackState
from penstock_api.subscribers import Deps, on_generation_completed
from penstock_common.contracts.generation import GenerationCompleted
from penstock_common.contracts.runs import RunState
from penstock_common.db.transaction import Database
from penstock_common.messaging.connect import apply_topology
from penstock_common.messaging.delivery import Delivery
from penstock_common.messaging.envelope import ALLOW, EFFECTS, REPLAY, envelop, opened
from penstock_common.messaging.ports import Bus, Incoming
from penstock_common.messaging.replayed import marked
from penstock_common.topology import PLATFORM
from tests.integration.replay.stage import TO_API
from tests.support.billing import a_completion
from tests.support.bus import MemoryBus
from tests.support.callbacks import SECRET, callbacks_of, ended_request, known, telling
from tests.support.databases import Databases, execute
from tests.support.deliveries import MemorySettler, delivered
from tests.support.submissions_process import TENANT
from tests.support.tools import Tool, http_tool
from tests.support.working import commander, worker_process

pytestmark = pytest.mark.integration


@pytest.fixture
def tool() -> Iterator[Tool]:
    """Somebody outside."""
    with http_tool() as running:
        yield running


class Api:
    """Api's handler of ends, fed by hand."""

    def __init__(self, url: str) -> None:
        self.database = Database(url, "api", PLATFORM)
        catalogue = Catalogue(self.database, cast(Bus, MemoryBus()))
        history = RequestsLog(self.database)
        self.deps = Deps(self.database, history, catalogue.keep, suppress_effects, write_audit=not_asked)
        self.delivery = Delivery(MemorySettler())

    async def receive(self, *messages: Incoming) -> None:
        """One batch."""

        async def batch(given: Sequence[Incoming]) -> None:
            await on_generation_completed([opened(m, GenerationCompleted) for m in given], self.deps)

        await self.delivery.run_batch(batch, messages, TO_API)


async def not_asked(*_: object) -> None:
    """No operator acts here."""
    raise AssertionError


@pytest.fixture
async def api(platform_databases: Databases) -> AsyncIterator[Api]:
    """A process without its bus."""
    api = Api(platform_databases.services["api"])
    yield api
    await api.database.close()


def end_of(request_id: UUID, headers: dict[str, str]) -> Incoming:
    """The delivery of a request's end."""
    event = a_completion(request_id=request_id, tenant=TENANT)
    return delivered(event, f"{request_id}.completed", headers)


async def test_a_replayed_end_is_posted_to_nobody(
    api: Api, platform_databases: Databases, tmp_path: Path, tool: Tool
) -> None:
    """In one batch: said now, said again, allowed, and said again of what had ended before."""
    ids = [await ended_request(platform_databases, tmp_path, f"{tool.url}/echo") for _ in range(4)]
    live, again, allowed, known_before = ids
    await execute(
        platform_databases.admin,
        f"update api.requests set status = 'accepted', ended_at = null where request_id <> '{known_before}'",
        "insert into api.completion_hooks select request_id, tenant, gen_random_uuid(), 0 from api.requests",
    )
    mark = {REPLAY: "act-1"}
    await api.receive(
        end_of(live, {}),
        end_of(again, mark),
        end_of(allowed, {**mark, EFFECTS: ALLOW}),
        end_of(known_before, mark),
    )
    async with telling(callbacks_of(platform_databases.services["api"], tmp_path)) as callbacks:
        for id_ in (live, allowed, known_before):
            assert (await known(callbacks, id_, CallbackState.DELIVERED, CallbackState.GIVEN_UP)).attempts == 1
        told = await callbacks.table.of(TENANT, again)
    assert (told.state, told.attempts) == (CallbackState.SUPPRESSED, 0)
    assert str(again) not in tool.keys("/echo", "webhook-id")
    async with api.database.reading() as connection:
        hooks = set(await connection.scalars(text("select request_id from api.completion_hooks")))
        ended = await connection.scalar(text("select count(*) from api.requests where status = 'succeeded'"))
    assert (hooks, ended) == ({live, allowed, known_before}, 4)


async def test_a_run_that_a_replay_starts_calls_nobody(
    platform_databases: Databases, nats_url: str, tmp_path: Path, tool: Tool
) -> None:
    """Its steps that reach outside fail with a code of their own, in the runs that it starts too."""
    await apply_topology(nats_url)
    step = {"kind": "http", "name": "call", "url": f"{tool.url}/echo"}
    hook = {"kind": "webhook", "name": "tell", "url": f"{tool.url}/echo", "type": "t", "secret": SECRET}
    async with (
        commander(nats_url, tmp_path) as boss,
        worker_process(platform_databases.services["worker"], nats_url, tmp_path),
    ):

        async def outcome(only: dict[str, Any], effects: bool) -> tuple[RunState, str]:
            command = boss.start_of({"steps": [only]})
            message = envelop(command, PLATFORM.topic(type(command)), message_id=f"{command.run_id}.start")
            await boss.bus.publish(marked(message, "act-1", effects=effects))
            shown = await boss.ended(command.run_id)
            return shown.state, shown.error_code

        assert await outcome(step, effects=False) == (RunState.FAILED, "worker.effects_suppressed")
        assert await outcome(hook, effects=False) == (RunState.FAILED, "worker.effects_suppressed")
        assert tool.asked == []
        assert (await outcome(step, effects=True))[0] is RunState.SUCCEEDED
    assert len(tool.asked) == 1
