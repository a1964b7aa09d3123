"""An answer read back: whole however large, and without holding up the loop."""

import asyncio
import threading
from pathlib import Path

import pytest

from penstock_common.sealing import LocalKeyring, Sealer
from tests.integration.inference.records.ends import an_end
from tests.integration.inference.records.store import Store
from tests.support.databases import Databases
from tests.support.generation_fakes import a_command

pytestmark = pytest.mark.integration

LARGE = "The river. " * 100_000


class NotingSealer(Sealer):
    """Notes which thread opens what."""

    def __init__(self, folder: Path) -> None:
        super().__init__(LocalKeyring(folder))
        self.openers: list[threading.Thread] = []

    def open(self, context: str, sealed: bytes) -> bytes:
        """Open it."""
        self.openers.append(threading.current_thread())
        return super().open(context, sealed)


@pytest.mark.parametrize(("said", "beside"), [("Hello", False), (LARGE, True)], ids=["small", "large"])
async def test_large_answer_is_opened_beside_the_loop(
    said: str, beside: bool, platform_databases: Databases, tmp_path: Path
) -> None:
    """Decrypting and unpacking megabytes would keep every other stream waiting; a small one is opened at once."""
    sealer = NotingSealer(tmp_path)
    async with Store(platform_databases.services["inference"], sealer) as store:
        end = an_end(a_command(sealer), said=said)
        await store.records.finish(end)
        recorded = await store.records.read(end.command.request_id)
        assert recorded
        assert recorded.frames == end.frames
    assert [thread is not threading.current_thread() for thread in sealer.openers] == [beside]


async def test_erased_answer_is_not_kept(store: Store, sealer: Sealer) -> None:
    """What is asked for and can't be opened is gone."""
    end = an_end(a_command(sealer))
    await store.records.finish(end)
    sealer.keyring.erase(end.command.tenant)
    sealer.forget(end.command.tenant)
    recorded = await store.records.read(end.command.request_id)
    assert recorded
    assert (recorded.frames, recorded.state.is_kept, recorded.outcome) == ([], False, "succeeded")


async def test_answers_are_read_side_by_side(store: Store, sealer: Sealer) -> None:
    """Each question gets its own row."""
    ends = [an_end(a_command(sealer), said=str(n)) for n in range(4)]
    await asyncio.gather(*(store.records.finish(end) for end in ends))
    read = await asyncio.gather(*(store.records.read(end.command.request_id) for end in ends))
    assert [recorded and recorded.frames for recorded in read] == [end.frames for end in ends]
