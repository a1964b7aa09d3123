"""A billing process killed at each point of its transaction: the redelivery ends in the same state."""

import asyncio
import signal
import sys
from pathlib import Path

import pytest

from penstock_common.contracts.base import encode
from tests.support.billing import Billing, a_completion, id_of
from tests.support.crashing import BEFORE_ACK

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[3]
CUT = "select pg_terminate_backend(pid) from pg_locks where not granted and relation = 'billing.postings'::regclass"
STATEMENTS = {"1": "inbox", "2": "prices", "3": "entries and postings", "4": "outbox"}


@pytest.mark.parametrize("point", [*STATEMENTS, BEFORE_ACK])
async def test_a_kill_changes_nothing(billing: Billing, billing_url: str, point: str) -> None:
    """Before the commit nothing is there; after it, the inbox knows the redelivery."""
    completion = a_completion()
    body = encode(completion).decode()
    command = (sys.executable, "-m", "tests.support.crashing", billing_url, point, body)
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT)
    assert await process.wait() == -signal.SIGKILL
    assert await billing.charged(completion.request_id) == ([4_400_000] if point == BEFORE_ACK else [])
    await billing.receive(completion)
    assert await billing.charged(completion.request_id) == [4_400_000]
    assert await billing.published() == [f"{completion.request_id}.usage"]


async def test_a_cut_connection_changes_nothing(billing: Billing) -> None:
    """The delivery is retried, not refused, and the redelivery is charged."""
    completion = a_completion()
    async with billing.database.engine.connect() as other:
        await other.exec_driver_sql("lock table billing.postings in access exclusive mode")
        handling = asyncio.create_task(billing.receive(completion))
        await asyncio.sleep(0.3)
        await other.exec_driver_sql(CUT)
        await other.rollback()
        await handling
    assert "DatabaseUnavailable" in billing.settler.retried[id_of(completion)]
    await billing.receive(completion)
    assert await billing.charged(completion.request_id) == [4_400_000]
