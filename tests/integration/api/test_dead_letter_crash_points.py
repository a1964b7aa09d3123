"""An api process killed at each durable write to a dead letter: done again, the end is that of a life without it."""

import asyncio
import signal
from pathlib import Path

import pytest
from sqlalchemy import text

from penstock_api.adapters.dead_letter_keeping import LetterKeeper
from penstock_api.app import build
from penstock_api.domain.dead_letters import Act, Choice
from penstock_api.ports.dead_letters import Order
from penstock_common.clock import SystemClock
from penstock_common.messaging.collector import Collector
from penstock_common.messaging.connect import apply_topology
from penstock_common.messaging.deadletter import DeadLetter
from penstock_common.service import begin
from penstock_common.topology import PLATFORM
from tests.support import letters_process
from tests.support.api import ADMIN, bearer, client_of, settings
from tests.support.databases import Databases
from tests.support.dead_letters import as_letter, broken, buried
from tests.support.dying import COMMITTED
from tests.support.forks import lived
from tests.support.letters_process import ACTOR, Desk

pytestmark = pytest.mark.integration

WORK = {"keep": 1, "retry": 2, "let_go": 3, "fail_again": 1}
"""What happens to a letter in turn, and the statements of each."""
POINTS = {work: [*map(str, range(1, count + 1)), COMMITTED] for work, count in WORK.items()}
STATE = "select state, attempts, retries, jsonb_array_length(story) from api.dead_letters"
SAID = "select count(*), count(distinct message_id) from api.outbox"
DONE = "select act, phase from api.audit_entries order by id"


async def state_of(desk: Desk) -> list[list[tuple[object, ...]]]:
    """Letters, what was published, and the audit log."""
    async with desk.database.reading() as connection:
        return [[tuple(row) for row in await connection.execute(text(sql))] for sql in (STATE, SAID, DONE)]


async def killed(url: str, work: str, point: str) -> None:
    """A process dies there."""
    assert await lived(letters_process.main, url, work, point) == -signal.SIGKILL, (work, point)


@pytest.mark.parametrize("work", WORK)
async def test_a_kill_changes_nothing(platform_databases: Databases, work: str) -> None:
    """Of each step of a letter's life, and at each statement and after the commit of it."""
    url = platform_databases.services["api"]
    desk, steps = Desk(url), list(WORK)
    for step in steps[: steps.index(work)]:
        await getattr(desk, step)()
    before = await state_of(desk)
    for point in POINTS[work]:
        await killed(url, work, point)
        assert (await state_of(desk) == before) is (point != COMMITTED), point
    once = await state_of(desk)
    await getattr(desk, work)()
    assert await state_of(desk) == once
    await desk.database.close()


async def test_two_processes_let_each_letter_go_once(platform_databases: Databases) -> None:
    """And not before its turn: what the rate leaves for later stays due."""
    url = platform_databases.services["api"]
    desks = [Desk(url), Desk(url)]
    for _ in range(25):
        out = broken()
        await desks[0].keeper.keep(DeadLetter.parse(as_letter(out), out.body))
    await desks[0].acts.do(Order(Act.RETRY, Choice(), 1000), ACTOR)
    await asyncio.sleep(0.05)
    await asyncio.gather(*(desk.let_go() for desk in desks))
    letters, [said], audit = await state_of(desks[0])
    assert [(state, retries) for state, _, retries, _ in letters] == [("retried", 1)] * 25
    assert (said, len(audit)) == ((25, 25), 1)
    for version in (1, 2):
        message = broken(b"%d" % version)
        await desks[0].keeper.keep(DeadLetter.parse(as_letter(message), message.body))
    await desks[0].acts.do(Order(Act.RETRY, Choice(), 0.01), ACTOR)
    await asyncio.gather(*(desk.let_go() for desk in desks))
    assert [state for state, *_ in (await state_of(desks[0]))[0]].count("due") == 1
    assert (await state_of(desks[0]))[1] == [(26, 26)]
    for desk in desks:
        await desk.database.close()


async def test_an_edit_is_whole_or_nothing(platform_databases: Databases) -> None:
    """Its row and its audit entry are there together; the original is never touched."""
    url = platform_databases.services["api"]
    desk = Desk(url)
    await desk.keep()
    for point, edits in (("4", 0), ("5", 0), (COMMITTED, 1)):  # after a lock and two readings
        await killed(url, "edit", point)
        whole = await desk.table.find(await desk.id())
        assert (len(whole.edited), len((await state_of(desk))[2])) == (edits, edits), point
        assert whole.body == broken().body
    await desk.database.close()


async def test_a_letter_whose_word_to_the_bus_was_lost_is_kept_once(
    platform_databases: Databases, bus_url: str, tmp_path: Path
) -> None:
    """Kept, and then no acknowledgement: the bus brings it again, and it is the same one."""
    await apply_topology(bus_url)
    app = build(settings(platform_databases.services["api"], bus_url, tmp_path / "keyring"))
    keeper, brought = LetterKeeper(app.database, SystemClock(), lambda: None), list[DeadLetter]()

    async def keep(letter: DeadLetter) -> None:
        brought.append(letter)
        await keeper.keep(letter)
        if len(brought) == 1:
            raise ConnectionResetError

    app.collector = Collector(app.bus, PLATFORM, keep)
    await begin(app)
    try:
        async with client_of(app) as client:
            client.headers.update(bearer(ADMIN))
            await buried(client, app.bus, broken())
            async with asyncio.timeout(15):
                while len(brought) < 2:
                    await asyncio.sleep(0.05)
            await asyncio.sleep(0.2)
            async with app.database.reading() as connection:
                assert await connection.scalar(text("select count(*) from api.dead_letters")) == 1
        assert brought[0].body == brought[1].body
    finally:
        await app.stop()
