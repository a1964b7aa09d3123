"""A billing process killed at each point of its transaction: the redelivery ends in the same state."""

import asyncio
import signal

import pytest

from penstock_common.contracts.generation import GenerationCompleted
from tests.support import crashing
from tests.support.billing import Billing, a_completion, id_of
from tests.support.crashing import AFTER, BEFORE, BEFORE_ACK
from tests.support.forks import lived

pytestmark = pytest.mark.integration

CUT = "select pg_terminate_backend(pid) from pg_locks where not granted and relation = 'billing.postings'::regclass"
STATEMENTS = {"1": "inbox", "2": "what the inbox knows", "3": "entries and postings", "4": "outbox"}
CHARGE = [4_400_000]
SECONDS = 20.0


@pytest.mark.parametrize("point", [BEFORE, AFTER, BEFORE_ACK])
async def test_a_kill_changes_nothing(billing: Billing, billing_url: str, point: str) -> None:
    """Before the only statement nothing is there; after it, the inbox knows the redelivery."""
    completion = a_completion()
    await killed(billing_url, point, completion)
    assert await billing.charged(completion.request_id) == ([] if point == BEFORE else CHARGE)
    await billing.receive(completion)
    assert await billing.charged(completion.request_id) == CHARGE
    assert await billing.published() == [f"{completion.request_id}.usage"]


@pytest.mark.parametrize("point", STATEMENTS)
async def test_a_kill_beside_a_redelivery_changes_nothing(billing: Billing, billing_url: str, point: str) -> None:
    """A batch of which something is known is a transaction of several statements: the kill takes all of them back."""
    known, completion = a_completion(), a_completion()
    await billing.receive(known)
    await killed(billing_url, point, known, completion)
    assert await billing.charged(completion.request_id) == []
    await billing.receive(known, completion)
    assert [await billing.charged(e.request_id) for e in (known, completion)] == [CHARGE, CHARGE]
    assert sorted(await billing.published()) == sorted(f"{e.request_id}.usage" for e in (known, completion))


async def killed(url: str, point: str, *events: GenerationCompleted) -> None:
    """Have a process handle a batch, and die at a point."""
    assert await lived(crashing.main, url, point, *events) == -signal.SIGKILL


async def test_a_cut_connection_changes_nothing(billing: Billing) -> None:
    """The delivery is retried, not refused, and the redelivery is charged."""
    completion = a_completion()
    async with billing.database.engine.connect() as other:
        await other.exec_driver_sql("lock table billing.postings in access exclusive mode")
        handling = asyncio.create_task(billing.receive(completion))
        async with asyncio.timeout(SECONDS):
            while not (await other.exec_driver_sql(CUT)).all():
                await asyncio.sleep(0.02)
        await other.rollback()
        await handling
    assert "DatabaseUnavailable" in billing.settler.retried[id_of(completion)]
    await billing.receive(completion)
    assert await billing.charged(completion.request_id) == [4_400_000]
