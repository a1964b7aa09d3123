"""Messages that kill the process that handles them."""

import asyncio
import time

import pytest

from penstock_common.messaging.topology import Consumer
from tests.integration.messaging.rig import Rig, until, until_async
from tests.integration.messaging.shop import ON_PACKED, ON_PAID, ON_PLACED, ON_SCRAPPED, SCRAPPED, Scrapped

pytestmark = [pytest.mark.integration, pytest.mark.chaos]


@pytest.mark.parametrize("lane", [ON_PLACED, ON_PAID, ON_PACKED], ids=["faststream", "plain", "batch"])
async def test_poison_is_buried_and_its_neighbours_are_handled(rig: Rig, lane: Consumer) -> None:
    """The process dies with five innocents in flight, each time; exactly one dead letter comes of it."""
    process = await rig.start()
    poison = await rig.send(lane.topic, "kill")
    good = await rig.send_many(lane.topic, 5)
    deadline = time.monotonic() + 60
    while not (letters := await rig.letters(lane)) and time.monotonic() < deadline:
        if process.exitcode is not None:
            process = await rig.spawn()
        await asyncio.sleep(0.1)
    if process.exitcode is not None:
        await rig.start()
    await until(lambda: set(good) <= set(rig.seen("done")), 20)
    await until_async(lambda: nothing_left(rig, lane))
    assert [letter.message_id for letter in await rig.letters(lane)] == [poison]
    assert letters[0].attempts == rig.seen("start").count(poison) <= lane.max_attempts
    assert letters[0].subject == lane.topic.subject


async def nothing_left(rig: Rig, lane: Consumer) -> bool:
    """Whether no message is out or waiting any more, in quarantine neither."""
    assert lane.quarantine
    return await rig.side.unsettled(lane) + await rig.side.unsettled(lane.quarantine) == 0


async def test_what_runs_out_of_deliveries_is_buried_by_whoever_lives(rig: Rig) -> None:
    """A lane without quarantine: no code of ours sees the last delivery end, the server alone notices."""
    process = await rig.start()
    id_ = await rig.send(SCRAPPED, "kill")
    await until(lambda: process.exitcode is not None)
    await rig.start()
    [letter] = await rig.letters(ON_SCRAPPED, within=15)
    assert (letter.message_id, letter.attempts) == (id_, ON_SCRAPPED.max_attempts)
    assert (letter.consumer, letter.subject) == (ON_SCRAPPED.name, SCRAPPED.subject)
    assert letter.decode(Scrapped) == Scrapped(id=id_, do="kill")
    assert letter.reason
    assert rig.seen("start") == [id_]
