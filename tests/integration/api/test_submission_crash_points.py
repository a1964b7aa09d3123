"""An api process killed at each point of a submission: the client's repetition ends in the same state."""

import signal
from pathlib import Path

import pytest

from tests.support import submissions_process
from tests.support.databases import Databases
from tests.support.dying import COMMITTED
from tests.support.forks import lived
from tests.support.submissions_process import PLAIN, a_writer, an_entry
from tests.support.submitting import rows

pytestmark = pytest.mark.integration

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
    assert await lived(submissions_process.main, url, keyring, point) == -signal.SIGKILL
    writer, entry = a_writer(url), an_entry(keyring)
    request_id = await writer.write(entry)
    assert await writer.write(an_entry(keyring)) == request_id
    await writer.stop()
    await writer.database.close()
    assert (request_id != entry.command.request_id) is (point == COMMITTED)
    assert await rows(platform_databases, "select message_id from api.outbox") == [f"{request_id}.queue"]
    for table in ("requests", "completion_hooks", "callbacks", "idempotency_keys"):
        assert await rows(platform_databases, f"select request_id from api.{table}") == [request_id]


async def test_one_that_nothing_belongs_to_is_kept_whole(platform_databases: Databases, tmp_path: Path) -> None:
    """Killed after its one statement: its row of the history and its command are there, which another process sends."""
    url = platform_databases.services["api"]
    assert await lived(submissions_process.main, url, tmp_path / "keyring", PLAIN) == -signal.SIGKILL
    (request_id,) = await rows(platform_databases, "select request_id from api.requests where status = 'accepted'")
    unsent = "select message_id from api.outbox where published_at is null"
    assert await rows(platform_databases, unsent) == [f"{request_id}.queue"]
