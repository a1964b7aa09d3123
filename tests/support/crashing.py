"""A billing process that dies of SIGKILL in the middle of a batch.

Run as `python -m tests.support.crashing URL POINT EVENT`.
"""

import asyncio
import os
import signal
import sys
from typing import Any

from sqlalchemy import event

from penstock_common.contracts.base import decode
from penstock_common.contracts.generation import GenerationCompleted
from penstock_common.messaging.ports import Incoming
from tests.support.billing import Billing
from tests.support.deliveries import MemorySettler

BEFORE_ACK = "ack"


class DyingSettler(MemorySettler):
    """Dies where the delivery would be acknowledged: the effect is committed, and nobody knows."""

    async def ack(self, message: Incoming) -> None:
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


async def main(url: str, point: str, body: str) -> None:
    """Handle one completion until the point is reached."""
    billing = Billing(url)
    if point == BEFORE_ACK:
        billing.delivery.settler = DyingSettler()
    else:
        die_after(billing, int(point))
    await billing.receive(decode(GenerationCompleted, body.encode()))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
