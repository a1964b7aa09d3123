"""What others can know of the platform that runs on a data folder."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from penstock.auditing.place import Place, in_words
from penstock.platform.asking import get_json
from penstock.platform.bus_watch import restored
from penstock.platform.crew import role_of
from penstock.platform.elsewhere import named_addresses
from penstock.platform.errors import NotRunning
from penstock.platform.files import read_json, write_json
from penstock.platform.folder import DataFolder
from penstock.platform.leftovers import family, read_marks

SUPERVISOR = "supervisor"


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """Addresses and keys of a running platform. The URLs contain passwords: the file is its owner's."""

    base_url: str
    api_key: str
    admin_key: str
    data: str
    bus: str
    database: str
    audit_database: str
    """As `database`, for a role that reads all schemas and writes none."""
    archive: str = ""
    """Where events are archived; empty where that is not known."""
    control: str = ""
    """The socket of the supervisor; none where the platform is supervised elsewhere."""
    metrics: Mapping[str, str] = field(default_factory=dict)
    """URL by process."""

    def save(self, folder: DataFolder) -> None:
        """Let other commands find it."""
        write_json(folder.state, asdict(self))


def running(folder: DataFolder) -> State:
    """The platform that the environment names, else the one that runs on the folder; raises NotRunning."""
    if named := named_addresses():
        return State(data=str(folder.root), **dict[str, Any](named))
    if SUPERVISOR not in read_marks(folder.processes):
        raise NotRunning(f"No platform runs on {folder.root}. Start one with: make up (or penstock up)")
    content = read_json(folder.state)
    if not content:
        raise NotRunning(f"The platform on {folder.root} is still starting or already stopping; try again.")
    return State(**content)


def processes(folder: DataFolder) -> dict[str, list[int]]:
    """Every living process of the platform by role; first of each those that were started, then what they started."""
    marks = read_marks(folder.processes)
    supervisor = {SUPERVISOR: [marks.pop(SUPERVISOR).pid]} if SUPERVISOR in marks else {}
    started: dict[str, list[int]] = {role_of(name): [] for name in marks}
    for name in sorted(marks):
        started[role_of(name)].append(marks[name].pid)
    return supervisor | {role: _with_descendants(pids) for role, pids in started.items()}


def _with_descendants(pids: list[int]) -> list[int]:
    families = [family(pid) for pid in pids]
    return [pid for each in families for pid in each[:1]] + [pid for each in families for pid in each[1:]]


async def snapshot(folder: DataFolder, started: State | None = None) -> dict[str, Any]:
    """The line that `up --json` prints of what it started, and `status --json` of `running`; raises NotRunning."""
    state = started or running(folder)
    return {
        "base_url": state.base_url,
        "api_key": state.api_key,
        "admin_key": state.admin_key,
        "models": await models(state),
        "data": state.data,
        "bus": state.bus,
        "bus_restored": restored(folder),
        "database": state.database,
        "audit": audited(folder),
        "metrics": state.metrics,
        "processes": processes(folder),
    }


def audited(folder: DataFolder) -> dict[str, Any] | None:
    """What the audit of the bus found last, in words, and when; None before its first look."""
    if not (report := Place.of(folder.root).last()):
        return None
    return {"at": report["at"], "clean": report["clean"], "found": in_words(report)}


async def models(state: State) -> list[str]:
    """Ids of the models that api offers; none while it can't say."""
    try:
        answer = await get_json(f"{state.base_url}/v1/models", state.api_key)
        return [model["id"] for model in answer["data"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []
