"""`penstock up` from the lock to the last process: what it prints, and how it ends."""

import asyncio
import contextlib
import json
import os
import signal
import sys

from penstock.platform.account import server_account
from penstock.platform.errors import AlreadyRunning
from penstock.platform.files import read_json
from penstock.platform.folder import DataFolder
from penstock.platform.logs import Console
from penstock.platform.report import greeting
from penstock.platform.state import snapshot
from penstock.platform.supervisor import Options, Supervisor


def run_platform(options: Options, *, as_json: bool) -> None:
    """Run until SIGINT or SIGTERM; raises PlatformError with the reason where it can't start."""
    os.umask(0o077)  # whatever the platform writes is its owner's; what others must enter is opened by name
    folder = DataFolder.at(options.data)
    account = server_account()
    folder.prepare(account if account.foreign and not options.database else None)
    console = Console()
    try:
        with folder.locked():
            asyncio.run(_run(folder, options, console, as_json=as_json))
    except AlreadyRunning as error:
        raise AlreadyRunning(_refusal(folder, str(error.context["pid"]))) from None
    finally:
        console.close()


async def _run(folder: DataFolder, options: Options, console: Console, *, as_json: bool) -> None:
    supervisor = Supervisor(folder, options, console)
    stopping = asyncio.Event()
    _on_signals(supervisor, stopping, console)
    waiting = asyncio.create_task(stopping.wait())
    starting = asyncio.create_task(_start(supervisor, folder, as_json=as_json))
    try:
        await asyncio.wait({starting, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if not stopping.is_set():
            starting.result()
            await waiting
    finally:
        starting.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await starting
        waiting.cancel()
        await supervisor.stop()


async def _start(supervisor: Supervisor, folder: DataFolder, *, as_json: bool) -> None:
    facts = await snapshot(folder, await supervisor.start())
    with contextlib.suppress(BrokenPipeError):  # whoever wanted to know has left; the platform stays
        sys.stdout.write(f"{json.dumps(facts)}\n" if as_json else greeting(facts))
        sys.stdout.flush()


def _on_signals(supervisor: Supervisor, stopping: asyncio.Event, console: Console) -> None:
    def stop(number: int) -> None:
        if stopping.is_set():
            console.say("penstock", "ending at once")
            supervisor.hasten()
            return
        console.say("penstock", f"{signal.Signals(number).name}: stopping; once more to end at once")
        stopping.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop, number)
    # Without a terminal nobody can hang up: there this signal is a daemon's, and means to read everything anew.
    if sys.stderr.isatty() and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        loop.add_signal_handler(signal.SIGHUP, stop, signal.SIGHUP)
    elif not sys.stderr.isatty():
        loop.add_signal_handler(signal.SIGHUP, supervisor.restart_soon)


def _refusal(folder: DataFolder, pid: str) -> str:
    url = read_json(folder.state).get("base_url")
    place = f", {url}" if url else ""
    return (
        f"A platform already runs on {folder.root} (process {pid}{place}): "
        "stop it with penstock down, or choose another --data."
    )
