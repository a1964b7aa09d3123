"""A billing process that dies of SIGKILL in the middle of a batch."""

import os
import signal
from typing import Any

from sqlalchemy import event

from penstock_billing.adapters import at_once
from penstock_common.contracts.generation import GenerationCompleted
from penstock_common.messaging.ports import Incoming
from tests.support.billing import PRICE, Billing
from tests.support.deliveries import MemorySettler
from tests.support.driver import look_at

BEFORE, AFTER, BEFORE_ACK = "before", "after", "ack"
"""Points of a batch of which nothing was handled before: around its only statement, and before its acknowledgement."""


class DyingSettler(MemorySettler):
    """Dies where the delivery would be acknowledged: the effect is committed, and nobody knows."""

    async def ack(self, *_: Incoming) -> None:
        die()


def die() -> None:
    """As kill -9 does it."""
    os.kill(os.getpid(), signal.SIGKILL)


def die_after(billing: Billing, statements: int) -> None:
    """Die once so many statements on billing's schema were executed."""
    left = [statements]

    def executed(_: Any, __: Any, statement: str, *___: Any) -> None:
        if "billing." in statement:
            left[0] -= 1
            if not left[0]:
                die()

    event.listen(billing.database.engine.sync_engine, "after_cursor_execute", executed)


def die_at(billing: Billing, point: str) -> None:
    """Die at a point; a number counts the statements of a batch of which something was handled before."""

    def look(statement: str) -> None:
        if statement == at_once.STATEMENT:
            die()

    if point == BEFORE_ACK:
        billing.delivery.settler = DyingSettler()
    elif point in (BEFORE, AFTER):
        look_at(**{point: look})
    else:
        die_after(billing, int(point))


async def main(url: str, point: str, *events: GenerationCompleted) -> None:
    """Handle a batch of completions until the point is reached."""
    billing = Billing(url)
    await billing.deps.prices({PRICE.version})
    die_at(billing, point)
    await billing.receive(*events)
