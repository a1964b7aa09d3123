"""A run's journal as server-sent events, as it grows."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from uuid import UUID

import msgspec

from penstock_api.ports.runs import Runs
from penstock_common.contracts.runs import RunEntry, RunReport, RunState
from penstock_common.errors import BusUnavailable, NoAnswer

POLL_SECONDS = 2.0  # what no event told is seen within this time
BEAT_SECONDS = 15.0
PAGE = 200
COMMENT = b": still here\n\n"
OPEN = (RunState.QUEUED, RunState.RUNNING)


async def run_events(runs: Runs, tenant: UUID, run_id: UUID, first: RunReport, after: int) -> AsyncIterator[bytes]:
    """Every entry after a version, until the run has ended; nothing is read ahead of what the client takes."""
    clock = asyncio.get_running_loop().time
    report, said_at = first, clock()
    with runs.watching(run_id) as changed:
        while True:
            for entry in report.entries:
                yield event_of(entry)
                after, said_at = entry.version, clock()
            if is_over(report, after):
                return
            if not report.entries:
                with suppress(TimeoutError):
                    async with asyncio.timeout(POLL_SECONDS):
                        await changed.wait()
                if clock() - said_at > BEAT_SECONDS:
                    yield COMMENT
                    said_at = clock()
            changed.clear()
            report = await _next(runs, tenant, run_id, after) or RunReport(run=report.run)


def is_over(report: RunReport, after: int) -> bool:
    """Whether nothing can follow a version."""
    return report.run is None or (report.run.state not in OPEN and after >= report.run.version)


def event_of(entry: RunEntry) -> bytes:
    """One entry: its version is the event's id, its kind the event's type."""
    data = {"version": entry.version, "at": entry.at, "step": entry.step, "detail": entry.detail}
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (entry.version, entry.kind.encode(), msgspec.json.encode(data))


async def _next(runs: Runs, tenant: UUID, run_id: UUID, after: int) -> RunReport | None:
    try:
        return await runs.read(tenant, run_id, after, PAGE)
    except (BusUnavailable, NoAnswer):
        return None
