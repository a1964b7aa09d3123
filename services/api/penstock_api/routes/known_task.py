"""Whether there is the task that somebody wants to be run later."""

from uuid import UUID

from penstock_api.domain.run_orders import TaskNotFound
from penstock_api.ports.runs import Tasks
from penstock_common.errors import BusUnavailable, NoAnswer


async def require_task(tasks: Tasks, tenant: UUID, name: str) -> None:
    """Raises TaskNotFound. Where worker does not answer, the runs themselves will say so."""
    try:
        known = await tasks.find(tenant, name)
    except (NoAnswer, BusUnavailable):
        return
    if known is None:
        raise TaskNotFound(f"There is no task {name!r}; GET /api/v1/tasks lists those there are.")
