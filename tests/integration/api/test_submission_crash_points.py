"""An api process killed at each point of a submission: the client's repetition ends in the same state."""

import asyncio
import signal
import sys
from pathlib import Path

import pytest

from tests.support.databases import Databases
from tests.support.dying import COMMITTED
from tests.support.submissions_process import a_writer, an_entry
from tests.support.submitting import rows

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[3]
POINTS = {
    "1": "name",
    "2": "history",
    "3": "webhook",
    "4": "URL",
    COMMITTED: "commit, before anything is answered or sent",
}


@pytest.mark.parametrize("point", POINTS)
async def test_a_kill_changes_nothing(platform_databases: Databases, tmp_path: Path, point: str) -> None:
    """One command, one row of the history and one each of webhook and URL, whether or not the first was committed."""
    url, keyring = platform_databases.services["api"], tmp_path / "keyring"
    command = ("-m", "tests.support.submissions_process", url, str(keyring), point)
    process = await asyncio.create_subprocess_exec(sys.executable, *command, cwd=ROOT)
    assert await process.wait() == -signal.SIGKILL
    writer, entry = a_writer(url), an_entry(keyring)
    request_id = await writer.write(entry)
    assert await writer.write(an_entry(keyring)) == request_id
    await writer.stop()
    await writer.database.close()
    assert (request_id != entry.command.request_id) is (point == COMMITTED)
    assert await rows(platform_databases, "select message_id from api.outbox") == [f"{request_id}.queue"]
    for table in ("requests", "completion_hooks", "callbacks", "idempotency_keys"):
        assert await rows(platform_databases, f"select request_id from api.{table}") == [request_id]
