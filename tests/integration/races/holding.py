"""A process that takes a request over, and is frozen in the middle of the transaction: it holds the row.

Run as `python -m tests.integration.races.holding DATABASE KEYS`, with the command on standard input. It prints `ready`
once it could begin, begins with the first byte of the command, and prints `holds` when it holds the row.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

from sqlalchemy import event

from penstock_common.contracts.base import Wire, decode
from penstock_common.contracts.generation import GenerateText
from penstock_inference.adapters.statements import CLAIM
from tests.integration.inference.records.store import Store
from tests.support.generation_fakes import a_sealer


def freeze(_: Any, __: Any, statement: str, *___: Any) -> None:
    """Stop the clock once the row is ours, and not before anybody was told."""
    if "claimed_at = now()" in statement:
        print("holds", flush=True)
        os.kill(os.getpid(), signal.SIGSTOP)


async def main(database: str, keys: str) -> None:
    """Claim, as whoever believes that the owner is dead."""
    async with Store(database, a_sealer(Path(keys))) as store:
        await store.rows("select 1")
        event.listen(store.database.engine.sync_engine, "after_cursor_execute", freeze)
        print("ready", flush=True)
        command = await asyncio.to_thread(sys.stdin.buffer.read)
        await store.records.claim(decode(GenerateText, command, Wire.MSGPACK), "frozen")


if __name__ == "__main__":
    assert "claimed_at = now()" in str(CLAIM)
    asyncio.run(main(*sys.argv[1:]))
