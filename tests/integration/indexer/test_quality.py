"""The right chunk for a question in other words, with the real embedding model."""

from pathlib import Path

import pytest

from penstock_common.contracts.documents import SearchMode
from penstock_common.db.transaction import Database
from penstock_common.messaging.connect import apply_topology, connect_bus
from penstock_common.topology import PLATFORM
from tests.support.databases import Databases
from tests.support.fake_embeddings import FakeEmbeddings
from tests.support.indexing import House
from tests.support.inference import inference_process

pytestmark = pytest.mark.integration

ASKED = {
    "Employees have thirty days of paid holiday a year.": "How much vacation do people get?",
    "The canteen serves lunch at noon.": "When can I eat in the company restaurant?",
    "Trains are booked in second class.": "Which railway ticket may I buy?",
    "In case of fire, leave the building by the stairs.": "What should I do if it burns?",
    "Passwords are changed every ninety days.": "How often do I need a new secret for logging in?",
    "A penstock carries water under pressure to the turbine.": "What is the pipe of a hydroelectric plant called?",
    "Invoices are paid within fourteen days.": "How long does it take until a bill is settled?",
    "Dogs may be brought to the office on Fridays.": "On which weekday are pets allowed at work?",
    "Laptops are replaced after four years.": "When do I get a new computer?",
    "Visitors sign in at the reception.": "Where do guests have to register?",
    "Parking behind the house is free of charge.": "What does it cost to leave my car there?",
    "The minutes of meetings are kept in the archive.": "Where do I find what was said in a conference?",
}
THIRD = 12


@pytest.mark.parametrize(("mode", "first"), [(SearchMode.HYBRID, 9), (SearchMode.VECTOR, 10)])
async def test_the_right_chunk_comes_first(
    platform_databases: Databases, nats_url: str, tmp_path: Path, mode: SearchMode, first: int
) -> None:
    """Of twelve questions that share hardly a word with their answers: so many at first, all among the first three."""
    await apply_topology(nats_url)
    bus = await connect_bus(nats_url, "test")
    url = platform_databases.services["indexer"]
    database = Database(url, "indexer", PLATFORM)
    async with inference_process(platform_databases, nats_url, tmp_path):
        house = House(nats_url, url, tmp_path, bus, FakeEmbeddings(bus, None), database)  # type: ignore[arg-type]
        async with house.indexer():
            base = await house.base()
            ids = [await house.add(base, answer.encode()) for answer in ASKED]
            await house.done(base, *ids, seconds=60)
            ranks = []
            for answer, question in ASKED.items():
                found = (await house.search(base, question, mode=mode)).chunks
                ranks.append([chunk.text for chunk in found].index(answer))
    assert sum(rank == 0 for rank in ranks) >= first, ranks
    assert sum(rank < 3 for rank in ranks) >= THIRD, ranks
    await database.close()
    await bus.close()
