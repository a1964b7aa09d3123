"""An operator's act, told to the audit log before anything is done, and again at its end."""

import asyncio
import contextlib
import getpass
import os
import socket
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import ClassVar
from uuid import UUID

from penstock.platform.errors import PlatformError
from penstock_common.contracts.operating import OperatorActed, Phase
from penstock_common.errors import BusUnavailable, Fault
from penstock_common.ids import uuid7
from penstock_common.messaging.connect import connect_bus
from penstock_common.messaging.deadletter import describe
from penstock_common.messaging.envelope import envelop
from penstock_common.messaging.ports import Bus, Outgoing
from penstock_common.topology import PLATFORM

PATIENCE = 5.0  # seconds that the bus may be away before nothing is done
END_PATIENCE = 30.0  # seconds that it may be away at the end, when all is done
PAUSE = 0.25


class ActUntold(PlatformError):
    """The bus did not take the word for the audit log."""

    code = "cli.act_untold"
    fault = Fault.UNAVAILABLE
    exit_status: ClassVar[int] = 4


@dataclass
class Act:
    """Something that is being done to the platform."""

    id: UUID
    name: str
    details: Mapping[str, str]
    results: dict[str, str] = field(default_factory=dict)
    """What its end adds to the details: counts, say."""
    ends_on: str = ""
    """The bus on which its end is told, where the act moved the platform to another."""

    def word(self, phase: Phase) -> Outgoing:
        """The message that tells of it; each is an entry of its own."""
        entry = uuid7()
        event = OperatorActed(
            entry_id=entry,
            act_id=self.id,
            act=self.name,
            phase=phase,
            actor=operator(),
            details={**self.details, **self.results},
            at=datetime.now(UTC),
        )
        return envelop(event, PLATFORM.topic(OperatorActed), message_id=str(entry), source="cli")


@asynccontextmanager
async def acting(
    bus: str, name: str, details: Mapping[str, str], act_id: UUID | None = None, *, patience: float = PATIENCE
) -> AsyncIterator[Act]:
    """Do the block as an act of this name, on the bus behind a URL; give `act_id` where one goes on.

    Raises ActUntold before anything is done where the bus does not confirm within `patience` seconds that it began,
    and after all was done where it does not confirm the end.
    """
    act = Act(act_id or uuid7(), name, details)
    await _tell(bus, act, Phase.BEGUN, patience)
    try:
        yield act
    except BaseException as error:
        act.results["reason"] = describe(error)
        with contextlib.suppress(ActUntold):  # why it failed is what the operator has to hear
            await _tell(bus, act, Phase.FAILED, PATIENCE)
        raise
    await _tell(act.ends_on or bus, act, Phase.DONE, END_PATIENCE)


def operator() -> str:
    """Who sits at this command line: `user@host`."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


async def _tell(url: str, act: Act, phase: Phase, patience: float) -> None:
    """Publish until the bus confirms; one connection a word, for an act may move or restart the bus itself."""
    word, deadline = act.word(phase), time.monotonic() + patience
    try:
        bus = await connect_bus(url, "penstock-cli", patience)
        try:
            await _publish(bus, word, deadline)
        finally:
            await bus.close()
    except BusUnavailable as error:
        what = "nothing was done" if phase is Phase.BEGUN else f"{act.name} is over all the same"
        sentence = f"The bus did not take the word that {act.name} {act.id} is {phase.value}: {error.message}; {what}."
        raise ActUntold(sentence) from error


async def _publish(bus: Bus, word: Outgoing, deadline: float) -> None:
    while True:
        try:
            return await bus.publish(word)
        except BusUnavailable:
            if time.monotonic() > deadline:
                raise
        await asyncio.sleep(PAUSE)
