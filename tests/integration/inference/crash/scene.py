"""A platform whose inference processes die: a real api and billing, real clients, and what they got."""

import asyncio
import contextlib
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import httpx
import msgspec

from penstock_billing import app as billing
from penstock_billing.settings import Settings as BillingSettings
from penstock_common.errors import ContractViolated
from penstock_common.messaging.connect import connect_bus
from penstock_common.messaging.delivery import Delivery
from penstock_common.messaging.ports import Incoming
from penstock_common.service import begin
from penstock_common.topology import PLATFORM
from tests.integration.inference.crash.endings import SECONDS, Ending, Reader, Records, until
from tests.integration.inference.crash.process import GO, ORDERS, READY, STATUS, TOOK, Orders, main
from tests.support.api import USER, bearer
from tests.support.chat import ApiProcess, api_process
from tests.support.databases import Databases
from tests.support.forks import FORKS
from tests.support.inference import inference_process


@dataclass(frozen=True)
class Life:
    """One inference process as seen from outside: by the files that it writes."""

    notes: Path

    async def wrote(self, name: str) -> str:
        """The content of a file, once it is there."""

        def told() -> Any:
            assert name == STATUS or not self._read(STATUS), f"{self.notes.name} died: {self._log()}"
            return self._read(name)

        found: str = await until(told, lambda: f"{self.notes.name} wrote no {name}: {self.points()} {self._log()}")
        return found

    def _log(self) -> str:
        return (self.notes.parents[1] / "log").read_text()[-4000:]

    def _read(self, name: str) -> str:
        path = self.notes / name
        return path.read_text() if path.exists() else ""

    def points(self) -> list[str]:
        """The points that it reached so far."""
        return self._read("points").splitlines()

    async def kill(self) -> None:
        """kill -9."""
        os.kill(int(await self.wrote(READY)), signal.SIGKILL)
        await self.wrote(STATUS)


class Scene:
    """Servers, an api and a billing process; inference processes come and die."""

    def __init__(self, databases: Databases, bus_url: str, folder: Path, api: ApiProcess) -> None:
        self.databases, self.bus_url, self.folder, self.api = databases, bus_url, folder, api
        self.readers: list[Reader] = []
        self._records = Records(databases.admin, bus_url)
        self._reading: list[asyncio.Task[None]] = []
        self._host: BaseProcess | None = None
        self._homes, self._waves = folder / "processes", 0
        self._client = httpx.AsyncClient(base_url=api.url, timeout=SECONDS, trust_env=False)

    async def start(self, points: list[str], *lanes: str, slots: int = 1, pause_at: str = "") -> list[Life]:
        """One process a point, each ready to receive."""
        self._waves += 1
        wave = self._homes / f"{self._waves:02}"
        orders = [
            self._orders(wave / f"{number}-{point.replace(' ', '-')}", lanes, slots, die_at=point, pause_at=pause_at)
            for number, point in enumerate(points)
        ]
        for each in orders:
            Path(each.notes).mkdir(parents=True)
        write(wave / ORDERS, msgspec.json.encode(orders))
        lives = [Life(Path(each.notes)) for each in orders]
        await asyncio.gather(*(life.wrote(READY) for life in lives))
        return lives

    def _orders(self, notes: Path, lanes: Sequence[str] = (), slots: int = 1, **more: str) -> Orders:
        return Orders(
            self.databases.services["inference"],
            self.bus_url,
            str(self.folder),
            str(notes),
            list(lanes),
            slots,
            **more,
        )

    def open(self) -> None:
        """Begin the process that the others are forked from."""
        self._homes.mkdir()
        write(self._homes / ORDERS, msgspec.json.encode(self._orders(self._homes)))
        self._host = FORKS.Process(target=main, args=(self._homes,), daemon=True)
        self._host.start()

    async def begin(self, lives: list[Life]) -> list[str]:
        """Let processes begin that were given a delivery each; gives the requests."""
        taken = await asyncio.gather(*(life.wrote(TOOK) for life in lives))
        assert len(set(taken)) == len(lives), Counter(taken)
        (lives[0].notes.parent / GO).touch()
        return list(taken)

    def resume(self, lives: list[Life]) -> None:
        """Let processes go on that paused."""
        for life in lives:
            (life.notes / "resume").touch()

    async def ask(self, count: int, model: str, text: str) -> list[Reader]:
        """Clients that each stream an answer; returns once all have a request."""
        some = [Reader() for _ in range(count)]
        self.readers += some
        self._reading += [asyncio.create_task(reader.read(self._client, model, text)) for reader in some]
        return some

    @asynccontextmanager
    async def inference(self) -> AsyncIterator[None]:
        """An inference process that lives."""
        async with inference_process(self.databases, self.bus_url, self.folder):
            yield

    async def passed(self, lives: list[Life], point: str) -> None:
        """All processes reached a point."""
        await until(
            lambda: all(point in life.points() for life in lives), lambda: str([life.points() for life in lives])
        )

    async def heard(self, some: list[Reader]) -> None:
        """All of them have some text."""
        await until(lambda: all(reader.text for reader in some), lambda: f"some heard nothing: {some}")

    async def ended(self, some: list[Reader]) -> None:
        """All of them have their end."""
        await until(lambda: all(reader.is_over for reader in some), lambda: f"some have no end: {some}")

    async def stop(self, some: list[Reader]) -> None:
        """Stop their requests for good."""
        await asyncio.gather(*(self._stop(f"/api/v1/inference/{reader.request_id}") for reader in some))

    async def _stop(self, path: str) -> None:
        """Ask again where the process that was to say what it knows died first."""
        for _ in range(20):
            answer = await self._client.delete(path, headers=bearer(USER))
            if answer.status_code not in (503, 504):
                break
        assert answer.status_code in (200, 202), answer.text

    async def refuse(self) -> None:
        """Be a process for which one command can't be handled: it goes to the dead letters."""
        bus, lane = await connect_bus(self.bus_url, "test"), PLATFORM.consumer("inference", "generate_text")
        delivery, done = Delivery(bus.settler), asyncio.Event()

        async def refused(_: Incoming) -> None:
            raise ContractViolated("not today")

        async def deliver(message: Incoming) -> None:
            await delivery.run(refused, message, lane)
            done.set()

        subscription = await bus.pull(lane, deliver)
        await done.wait()
        await subscription.stop()
        await bus.close()

    async def endings(self) -> list[Ending]:
        """How every request ended, once all is settled and nothing waits any more."""
        async with asyncio.timeout(SECONDS):
            await asyncio.gather(*self._reading)
        await self._records.settled()
        found = [await self._records.ending(reader) for reader in self.readers]
        self.readers, self._reading = [], []
        return found

    async def close(self) -> None:
        """End every process that was started."""
        for task in self._reading:
            task.cancel()
        await self._client.aclose()
        if self._host and self._host.pid:
            with contextlib.suppress(ProcessLookupError):  # it leads no group yet
                os.killpg(self._host.pid, signal.SIGKILL)
            self._host.kill()
            self._host.join()


def write(path: Path, content: bytes) -> None:
    """Make a file that is there whole or not at all."""
    new = path.with_suffix(".new")
    new.write_bytes(content)
    new.rename(path)


@asynccontextmanager
async def a_scene(databases: Databases, bus_url: str, folder: Path) -> AsyncIterator[Scene]:
    """A platform without inference; its catalogue must be told before anybody asks."""
    given = {"bus": {"url": bus_url}, "database": {"url": databases.services["billing"]}, "http": {"port": 0}}
    async with api_process(databases, bus_url, folder / "keyring") as api:
        books = billing.build(BillingSettings.model_validate(given))
        await begin(books)
        scene = Scene(databases, bus_url, folder, api)
        scene.open()
        try:
            yield scene
        finally:
            await scene.close()
            await books.stop()
