"""A flood of documents to embed does not hold up a chat."""

import asyncio
import statistics
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest

from penstock.platform.folder import DataFolder
from penstock.platform.state import running
from penstock_common.asking.asker import Asker
from penstock_common.asking.question import Question
from penstock_common.clock import SystemClock
from penstock_common.contracts.embedding import VectorizeTexts
from penstock_common.ids import uuid7
from penstock_common.messaging.connect import make_bus
from penstock_common.sealing import LocalKeyring, Sealer
from tests.support.platform import Platform

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e")]

CHUNK = "The penstock brings the water of the lake to the turbines below. " * 15
ROUNDS = 60


@dataclass
class Flood:
    """Chunks of documents, four requests of 16 at a time, until told to stop."""

    platform: Platform
    over: threading.Event = field(default_factory=threading.Event)
    embedded: int = 0

    def pour(self) -> None:
        """Ask until it is over."""
        asyncio.run(self._pour())

    async def _pour(self) -> None:
        folder = DataFolder.at(self.platform.data)
        bus, keyring = make_bus(running(folder).bus, "flood"), LocalKeyring(folder.root / "keyring")
        await bus.connect()
        asker = Asker("flood", bus, Sealer(keyring), SystemClock())
        await asker.start()
        await asyncio.gather(*(self._stream(asker) for _ in range(4)))
        await asker.stop()
        await bus.close()

    async def _stream(self, asker: Asker) -> None:
        tenant, key = uuid7(), uuid7()
        while not self.over.is_set():
            body = {"input": [CHUNK] * 16, "encoding_format": "base64"}
            answered = await asker.ask(
                Question(
                    request_id=uuid7(),
                    tenant=tenant,
                    key_id=key,
                    model="local/all-minilm-l6-v2",
                    body=body,
                    contract=VectorizeTexts,
                )
            )
            self.embedded += len(answered.body["data"])


def chats(platform: Platform) -> list[float]:
    """Seconds that each of sixty chats took, sorted."""
    client, took = platform.client(), []
    for seed in range(ROUNDS):
        began = time.monotonic()
        client.chat.completions.create(model="sim/fast", messages=[{"role": "user", "content": "Hi"}], seed=seed)
        took.append(time.monotonic() - began)
    return sorted(took)


def grown(flood: Flood, pouring: Future[None]) -> None:
    """Wait until more is embedded; a flood that ended by itself has failed."""
    before = flood.embedded
    while flood.embedded == before:
        assert not pouring.done(), pouring.exception()
        time.sleep(0.05)


def shown(took: list[float]) -> str:
    """Median and 95th percentile in milliseconds."""
    return f"p50 {statistics.median(took) * 1000:.1f} ms, p95 {took[int(ROUNDS * 0.95)] * 1000:.1f} ms"


def test_chats_stay_quick_during_a_flood(platform: Platform) -> None:
    """The median chat waits for no batch of vectors, which takes several times as long as what is allowed here."""
    chats(platform)
    quiet = chats(platform)
    flood = Flood(platform)
    with ThreadPoolExecutor() as beside:
        pouring = beside.submit(flood.pour)
        try:
            grown(flood, pouring)
            flooded = chats(platform)
            grown(flood, pouring)
        finally:
            flood.over.set()
        pouring.result(120)
    print(f"\nchat alone: {shown(quiet)}; during a flood of documents: {shown(flooded)}")
    assert statistics.median(flooded) < 3 * statistics.median(quiet) + 0.1
