"""A process killed at any statement leaves a request that the next one brings to the same end."""

import signal
from pathlib import Path

import pytest

from penstock_common.contracts.generation import GenerateText
from penstock_common.sealing import Sealer
from tests.integration.inference.records import crashing
from tests.integration.inference.records.crashing import FIRST, POINTS
from tests.integration.inference.records.ends import an_end
from tests.integration.inference.records.store import Store
from tests.support.databases import Databases
from tests.support.forks import lived
from tests.support.generation_fakes import a_command

pytestmark = [pytest.mark.integration, pytest.mark.chaos]


async def redelivered(store: Store, command: GenerateText) -> None:
    """What the next process does: claim, and make an end unless there is one."""
    if attempt := await store.records.claim(command, "next"):
        assert await store.records.finish(an_end(command, attempt))


@pytest.mark.parametrize(
    ("point", "republished"), [*((point, False) for point in FIRST), *((point, True) for point in POINTS)]
)
async def test_same_end_state(
    point: str, republished: bool, platform_databases: Databases, store: Store, sealer: Sealer, tmp_path: Path
) -> None:
    """One end, said once; each earlier attempt booked as lost once; and nothing more to claim."""
    command = a_command(sealer, republished=republished)
    url = platform_databases.services["inference"]
    assert await lived(crashing.main, url, tmp_path / "keys", point, command) == -signal.SIGKILL
    await redelivered(store, command)
    await redelivered(store, command)
    recorded = await store.records.read(command.request_id)
    assert recorded
    assert recorded.outcome == "succeeded"
    assert recorded.frames == an_end(command, recorded.attempt).frames
    lost = [f"{attempt}.lost" for attempt in range(1, recorded.attempt)]
    assert sorted(await store.said(command.request_id)) == sorted([*lost, "completed"])
