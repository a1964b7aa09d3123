"""This machine: the port for the API, and the processes of a running platform."""

import psutil

from penstock.doctor.finding import Finding, Level, Patient
from penstock.platform.files import read_json
from penstock.platform.leftovers import Mark
from penstock.platform.ports import PREFERRED, by_whom, listen

PORT, PROCESSES = "port", "processes"


async def check_port(patient: Patient) -> list[Finding]:
    """Whether the API's port is free; a running platform holds its own."""
    if patient.state and patient.port is None:
        return [Finding(PORT)]
    wanted = patient.port or PREFERRED
    if (listener := listen(wanted)) is not None:
        listener.close()
        return [Finding(PORT)]
    problem = f"port {wanted} is taken{by_whom(wanted)}"
    if patient.port is None:
        mend = "nothing need be done: penstock up takes the next free port; or end that process"
        return [Finding(PORT, Level.WARN, problem, f"127.0.0.1:{wanted}", mend)]
    return [Finding(PORT, Level.FAIL, problem, f"127.0.0.1:{wanted}", "end that process, or choose another --port")]


async def check_processes(patient: Patient) -> list[Finding]:
    """Whether each process of the platform lives and is not frozen."""
    if patient.state is None or patient.elsewhere:
        why = "it runs elsewhere" if patient.elsewhere else patient.why_not
        return [Finding(PROCESSES, Level.SKIPPED, why)]
    marks = {name: Mark(**entry) for name, entry in read_json(patient.folder.processes).items()}
    findings = [finding for name, mark in marks.items() if (finding := _judged(name, mark, patient))]
    return findings or [Finding(PROCESSES)]


def _judged(name: str, mark: Mark, patient: Patient) -> Finding | None:
    where = f"process {mark.pid}"
    if not mark.is_alive():
        log = patient.folder.logs / f"{name}.log"
        mend = f"it is started again by itself; if not, see why: penstock logs {name} ({log})"
        return Finding(PROCESSES, Level.FAIL, f"{name} is not running", where, mend)
    if psutil.Process(mark.pid).status() == psutil.STATUS_STOPPED:
        mend = f"let it go on: kill -CONT {mark.pid}"
        return Finding(PROCESSES, Level.FAIL, f"{name} is frozen", where, mend)
    return None
