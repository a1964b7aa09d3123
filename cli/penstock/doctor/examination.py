"""All checks on one patient."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from penstock.doctor.api import check_api
from penstock.doctor.audit import check_audit
from penstock.doctor.bus import check_bus
from penstock.doctor.database import check_database
from penstock.doctor.dead_letters import check_dead_letters
from penstock.doctor.disk import check_disk, check_permissions
from penstock.doctor.finding import Check, Finding, Level, Patient
from penstock.doctor.machine import check_port, check_processes
from penstock.platform.elsewhere import named_addresses
from penstock.platform.errors import NotRunning
from penstock.platform.folder import DataFolder
from penstock.platform.state import State, running

HERE: tuple[Check, ...] = (check_permissions, check_disk, check_port, check_processes)
EVERYWHERE: tuple[Check, ...] = (check_database, check_bus, check_audit, check_dead_letters, check_api)


def admitted(data: Path | None, bus: str | None, database: str | None, port: int | None) -> Patient:
    """Whom to examine: the platform that runs, with its addresses, or what is to become one."""
    folder, elsewhere = DataFolder.at(data), bool(named_addresses())
    try:
        state: State | None = running(folder)
        why_not = ""
    except NotRunning as error:
        state, why_not = None, str(error)
    return Patient(
        folder=folder,
        state=state,
        why_not=why_not,
        bus=bus or (state.bus if state else ""),
        database=database or (state.database if state else ""),
        port=port,
        elsewhere=elsewhere,
    )


async def examine(patient: Patient, done: Callable[[], None] = lambda: None) -> list[Finding]:
    """Everything that was found, in the order of the checks; `done` is called after each."""
    checks = EVERYWHERE if patient.elsewhere else (*HERE, *EVERYWHERE)

    async def one(check: Check) -> list[Finding]:
        try:
            return await check(patient)
        except Exception as error:  # a check that breaks must not hide what the others find
            problem = f"the check itself failed: {type(error).__name__}: {error}"
            return [Finding(check.__name__.removeprefix("check_"), Level.FAIL, problem, mend="please report this")]
        finally:
            done()

    return [finding for found in await asyncio.gather(*map(one, checks)) for finding in found]
