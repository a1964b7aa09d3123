"""Audits again and again, cheaply: each look reads what came since the last one."""

import asyncio
import contextlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog
from prometheus_client import generate_latest

from penstock.auditing import metrics
from penstock.auditing.notes import Notes, load
from penstock.auditing.place import Place, pause
from penstock.auditing.reading import DAY
from penstock.auditing.report import Report
from penstock.auditing.run import Audit, CannotAudit, today
from penstock.platform.files import write_private

log = structlog.get_logger()

LOOKS_BACK = 14 * DAY
"""How far a first look goes: what a bus keeps, it keeps as long."""


@dataclass
class Watch:
    """Looks with the same notes; keeps them in a place if it has one."""

    work: Audit
    place: Place | None = None
    _notes: Notes | None = None

    async def look(self) -> Report:
        """One look. Raises CannotAudit; the next one begins where the last whole one ended."""
        notes = self._notes or (load(self.place.notes) if self.place else None) or Notes(since=today() - LOOKS_BACK)
        self._notes, notes = notes, notes.copied()
        try:
            report, bus = await self.work.look(notes)
        except CannotAudit:
            metrics.FAILURES.inc()
            raise
        metrics.tell(report, bus, notes.lanes)
        notes.lanes = dict(bus.lanes)
        self._notes = notes
        if self.place:
            self._keep(self.place, notes, report)
        return report

    def _keep(self, place: Place, notes: Notes, report: Report) -> None:
        try:
            place.prepare()
            notes.save(place.notes)
            write_private(place.report, json.dumps(report.as_json()) + "\n")
            write_private(place.metrics, generate_latest(metrics.REGISTRY).decode())
        except OSError as error:
            raise CannotAudit(f"What was found can't be kept in {place.root}: {error.strerror}.") from error

    async def run(self, told: Callable[[Report], None]) -> None:
        """Look until cancelled; `told` gets each report."""
        while True:
            began = time.monotonic()
            with contextlib.suppress(CannotAudit):
                told(await self._logged())
            await asyncio.sleep(pause(time.monotonic() - began))

    async def _logged(self) -> Report:
        try:
            return await self.look()
        except CannotAudit as error:
            log.warning("audit.failed", reason=error.message)
            raise
