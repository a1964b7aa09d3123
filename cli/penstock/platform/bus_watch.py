"""Keeps the bus of a running platform as it is declared, and remembers for `penstock status` when that was needed."""

import asyncio
from collections.abc import Awaitable, Sequence
from datetime import UTC, datetime
from typing import Any

from penstock.platform.cancelling import end
from penstock.platform.files import read_json, write_json
from penstock.platform.folder import DataFolder
from penstock.platform.logs import Console

PAUSE = 5.0  # seconds


class BusWatch:
    """Applies the topology again where the bus lost it; services can't, and wait until it is there."""

    def __init__(self, folder: DataFolder, console: Console, url: str) -> None:
        self._folder, self._console, self._url = folder, console, url
        self._task: asyncio.Task[None] | None = None

    def on(self, url: str) -> "BusWatch":
        """The same for another bus."""
        return BusWatch(self._folder, self._console, url)

    def start(self) -> None:
        """Watch from now on; what an earlier run of the platform restored is forgotten."""
        self._folder.restored.unlink(missing_ok=True)
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Watch no more."""
        if self._task:
            await end(self._task)

    async def _run(self) -> None:
        while True:
            try:
                await (await asyncio.to_thread(self._keeping))
            except Exception as error:  # whatever it is, the platform runs on
                self._console.say("penstock", f"the bus is not watched for {PAUSE:.0f} s: {error!r}")
            await asyncio.sleep(PAUSE)

    def _keeping(self) -> Awaitable[None]:
        """In a thread: loading a bus client takes longer than a supervisor may pause."""
        from penstock_common.messaging.connect import keep_topology  # noqa: PLC0415 (as above)

        return keep_topology(self._url, self._restored, self._refused)

    def _restored(self, changes: Sequence[str]) -> None:
        self._console.say("penstock", f"the bus had lost what it needs; made anew: {', '.join(changes)}")
        times = read_json(self._folder.restored).get("times", 0) + 1
        now = datetime.now(UTC).isoformat(timespec="seconds")
        write_json(self._folder.restored, {"restored_at": now, "times": times, "changes": list(changes)})

    def _refused(self, reason: str) -> None:
        self._console.say("penstock", f"the bus lacks what it needs, which can't be made: {reason}")


def restored(folder: DataFolder) -> dict[str, Any] | None:
    """When the bus was last made anew since the start (`restored_at`), how often, and what; None where it never was."""
    return read_json(folder.restored) or None
