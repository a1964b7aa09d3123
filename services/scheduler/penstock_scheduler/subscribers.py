"""Scheduler's handlers: dedupe, load, one domain call, save, publish."""

from penstock_common.contracts.schedules import RemoveSchedule, SaveSchedule, ScheduleChanged
from penstock_common.messaging.router import Router
from penstock_scheduler.domain.planning import anchored, next_after_saving
from penstock_scheduler.domain.refusals import check_form
from penstock_scheduler.ports import Deps

router = Router("scheduler")


@router.on(SaveSchedule)
async def save_schedule(command: SaveSchedule, deps: Deps) -> None:
    """Keep the schedule as the newest command says."""
    timing = anchored(command.timing, command.saved_at)
    check_form(timing)
    async with deps.entry(command) as entry:
        next_at = next_after_saving(timing, command.paused, command.saved_at, await entry.known())
        version = await entry.save(command, timing, next_at)
        if version is not None:
            entry.publish(ScheduleChanged(schedule_id=command.schedule_id, tenant=command.tenant, version=version))


@router.on(RemoveSchedule)
async def remove_schedule(command: RemoveSchedule, deps: Deps) -> None:
    """Forget the schedule, also where the command to save it is still on its way."""
    id_, tenant = command.schedule_id, command.tenant
    async with deps.entry(command) as entry:
        version = await entry.remove(command.removed_at)
        if version is not None:
            entry.publish(ScheduleChanged(schedule_id=id_, tenant=tenant, version=version + 1, removed=True))
