"""What may be asked of worker. Refused here, its client hears of it at once."""

from datetime import datetime, timedelta
from uuid import UUID

from penstock_api.domain.errors import InvalidRequest
from penstock_common.errors import Fault, PenstockError
from penstock_common.ids import time_of

LATEST_VERSION = 1_000_000_000
FRESH = timedelta(seconds=10)


class RunNotFound(PenstockError):
    """This project has no such run."""

    code = "api.run_not_found"
    fault = Fault.MISSING


class TaskNotFound(PenstockError):
    """This project has no such task."""

    code = "api.task_not_found"
    fault = Fault.MISSING


def is_fresh(run_id: UUID, now: datetime) -> bool:
    """Whether a run of this id may have been accepted so lately that worker has not heard of it yet."""
    return run_id.version == 7 and abs(now - time_of(run_id)) < FRESH


def resume_after(after: int | None, last_event_id: str | None) -> int:
    """The version of the last event that a client has: the parameter, else the header. Raises InvalidRequest."""
    if after is not None:
        return after
    if last_event_id is None or last_event_id == "":
        return 0
    if not (last_event_id.isascii() and last_event_id.isdigit() and int(last_event_id[:12]) <= LATEST_VERSION):
        raise InvalidRequest("The header Last-Event-ID must be the id of an event of this run.", "Last-Event-ID")
    return int(last_event_id)
