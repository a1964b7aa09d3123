"""An inference process that dies of SIGKILL once an end is committed, before a word of it is told.

Run as `python -m tests.integration.races.dying DATABASE BUS FOLDER`; it prints `ready` once it works.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path

from penstock_common.service import begin
from tests.support.inference import make_inference


def die(*_: object) -> None:
    """As kill -9 does it."""
    os.kill(os.getpid(), signal.SIGKILL)


async def main(database: str, bus: str, folder: str) -> None:
    """Work until the first end."""
    app = make_inference(database, bus, Path(folder))
    await begin(app)
    app.database.offer = die  # called with what a commit made public, before anybody else hears of it
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
