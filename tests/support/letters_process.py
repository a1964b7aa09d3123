"""An api process that dies of SIGKILL while it does something to a dead letter."""

from uuid import UUID

from penstock_api.adapters.dead_letter_acts import LetterDesk
from penstock_api.adapters.dead_letter_keeping import LetterKeeper
from penstock_api.adapters.dead_letter_table import LetterTable
from penstock_api.adapters.redrive import Redrive
from penstock_api.domain.dead_letters import RETRY, Act, Choice, State
from penstock_api.ports.dead_letters import Actor, Change, Order
from penstock_common.clock import SystemClock
from penstock_common.db.transaction import Database
from penstock_common.messaging.deadletter import DeadLetter
from penstock_common.topology import PLATFORM
from tests.support.dead_letters import as_letter, broken
from tests.support.dying import die_at

ID = "01936f3e-8f2a-7c31-9d2e-5b8f6a1c0d4e"
ACTOR = Actor("key:test")


class Desk:
    """All that api does with letters, without a bus."""

    def __init__(self, url: str) -> None:
        self.database, clock = Database(url, "api", PLATFORM), SystemClock()
        self.table = LetterTable(self.database)
        self.redrive = Redrive(self.database, PLATFORM, clock, self.table)
        self.keeper = LetterKeeper(self.database, clock, lambda: None)
        self.acts = LetterDesk(self.database, PLATFORM, clock, self.redrive)

    async def keep(self) -> None:
        """The bus brings it."""
        out = broken(message_id=ID)
        await self.keeper.keep(DeadLetter.parse(as_letter(out), out.body))

    async def fail_again(self) -> None:
        """The bus brings it once more, after it was tried again."""
        [letter] = await self.table.page(Choice(states=tuple(State)), None, 2)
        out = broken(message_id=ID)
        headers = as_letter(out) | {RETRY: f"{letter.id}/{letter.act_id}"}
        await self.keeper.keep(DeadLetter.parse(headers, out.body))

    async def retry(self) -> None:
        """An operator has it tried again."""
        await self.acts.do(Order(Act.RETRY, Choice()), ACTOR)

    async def edit(self) -> None:
        """An operator gives it another payload."""
        await self.acts.edit(await self.id(), Change(payload={"version": 7, "models": []}), ACTOR)

    async def let_go(self) -> None:
        """Its turn has come."""
        await self.redrive.let_go()

    async def id(self) -> UUID:
        """Of the only letter."""
        [letter] = await self.table.page(Choice(states=tuple(State)), None, 2)
        return letter.id


async def main(url: str, work: str, point: str) -> None:
    """Do it until the point is reached."""
    desk = Desk(url)
    await desk.table.summary()  # opens the connection
    die_at(desk.database, point)
    await getattr(desk, work)()
