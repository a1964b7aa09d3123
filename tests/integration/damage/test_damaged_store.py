"""Bits flipped in the store of a bus, files cut off anywhere: what is charged is right, what is lost is found again.

Of JetStream a few seeds with every run; PENSTOCK_PROOF_SEEDS (`make proof`) asks for more, and for RabbitMQ too.
"""

import asyncio
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from penstock_common.errors import PenstockError
from penstock_common.messaging.connect import apply_topology
from tests.conftest import Start
from tests.integration.crash_points.crews import STAGE
from tests.integration.damage.harm import Damage
from tests.integration.damage.money import charges, charging, prepared, price_of, said_again, stood_still
from tests.support.databases import Databases, copied
from tests.support.servers import Server, nats_server, rabbitmq_server

pytestmark = [pytest.mark.integration, pytest.mark.chaos, pytest.mark.timeout(0)]

FEW = 4
SEEDS = int(os.environ.get("PENSTOCK_PROOF_SEEDS", "0"))


@dataclass(frozen=True)
class Kind:
    """A bus, where it keeps what it is given, and what the path of each file contains in which messages lie."""

    make: Callable[[], Server]
    store: str
    heart: str


NATS = Kind(nats_server, "jetstream", "INFERENCE/msgs")
RABBITMQ = Kind(rabbitmq_server, "mnesia", "quorum")
KINDS = {"nats": NATS, "rabbitmq": RABBITMQ} if SEEDS else {"nats": NATS}


class Broken:
    """A server that is given the same store again and again, each time harmed in another way."""

    def __init__(self, kind: Kind, server: Server, folder: Path) -> None:
        self.kind, self.server, self.saved = kind, server, folder / "saved"
        self.store = server.home / "server" / kind.store
        server.kill()
        shutil.copytree(self.store, self.saved)

    async def start(self, seed: int) -> tuple[str, bool]:
        """Give it a harmed store; says what was done, and whether it starts on that."""
        await asyncio.to_thread(self._stop)
        shutil.copytree(self.saved, self.store)
        harm = Damage(seed).do(self.store, self.kind.heart)
        try:
            await asyncio.to_thread(self.server.start)
        except RuntimeError:
            return f"{harm}: the server refused to start", False
        return harm, True

    async def restart_empty(self) -> None:
        """Take the store away."""
        await asyncio.to_thread(self._stop)
        await asyncio.to_thread(self.server.start)

    def _stop(self) -> None:
        self.server.kill()
        shutil.rmtree(self.store, ignore_errors=True)


async def served(url: str, databases: Databases) -> str:
    """What becomes of a damaged store: it is used as it is. Says how it went."""
    try:
        changes = await apply_topology(url, STAGE)
        async with charging(databases, url):
            await stood_still(databases)
    except PenstockError as error:
        return f"the platform refused it: {error.message}"
    return f"laid out again: {len(changes)} changes" if changes else "taken as it was"


@pytest.mark.parametrize("name", KINDS)
async def test_no_money_is_wrong(
    name: str, platform_databases: Databases, postgres_url: str, private_server: Start, tmp_path: Path
) -> None:
    """After each damage: nothing wrong was charged, what is missing is seen, and a rebuild brings all of it."""
    server = await asyncio.to_thread(private_server, KINDS[name].make())
    requests = await prepared(platform_databases, server.url)
    prices = {id_: price_of(event) for id_, event in requests.items()}
    broken = Broken(KINDS[name], server, tmp_path)
    for seed in range(SEEDS or FEW):
        async with copied(postgres_url, platform_databases) as databases:
            how, starts = await broken.start(seed)
            if starts:
                how += f": {await served(server.url, databases)}"
            found = await charges(databases)
            assert found == {id_: prices[id_] for id_ in found}, how
            await broken.restart_empty()
            await apply_topology(server.url, STAGE)
            await said_again(databases, server.url)
            assert await charges(databases) == prices, how
        print(f"{how}; {len(prices) - len(found)} of {len(prices)} charges missing until it was rebuilt")
