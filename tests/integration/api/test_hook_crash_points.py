"""An api process killed at each point of a delivery: the sender's repetition ends in the same state."""

import os
import signal
from pathlib import Path

import pytest
from sqlalchemy import text

from penstock_api.domain.hooks import Scheme, Signing, secret_of
from penstock_api.ports.hooks import NewHook
from penstock_common.ids import uuid7
from tests.support import hooks_process
from tests.support.databases import Databases
from tests.support.dying import COMMITTED
from tests.support.forks import lived
from tests.support.hooks_process import DELIVERY, hook_table

pytestmark = pytest.mark.integration

POINTS = {"1": "delivery", "2": "outbox", COMMITTED: "commit, before anything is answered or sent"}


@pytest.mark.parametrize("point", POINTS)
async def test_a_kill_changes_nothing(platform_databases: Databases, tmp_path: Path, point: str) -> None:
    """One order, whether or not the first attempt was committed; the repetition says which it was."""
    url, keyring = platform_databases.services["api"], tmp_path / "keyring"
    table = hook_table(url, keyring)
    new = NewHook(
        tenant=uuid7(),
        key_id=uuid7(),
        name="",
        task="triage",
        signing=Signing(Scheme.STANDARD),
        secret=secret_of(Scheme.STANDARD, os.urandom(32)),
    )
    hook = await table.create(new)
    assert await lived(hooks_process.main, url, keyring, hook.id, point) == -signal.SIGKILL
    repeated = await table.order_run(hook, DELIVERY, {"body": {}}, 0)
    assert repeated.duplicate is (point == COMMITTED)
    async with table.database.reading() as connection:
        orders = (await connection.scalars(text("select message_id from api.outbox"))).all()
    await table.database.close()
    assert orders == [f"{repeated.run_id}.start"]
