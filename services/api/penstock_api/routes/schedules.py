"""`/api/v1/schedules`: what runs at which moments."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Response
from fastapi.responses import JSONResponse

from penstock_api.domain.keys import Key, Scope
from penstock_api.domain.schedule_orders import MOST, ScheduleNotFound, TooManySchedules, check_preview, timing_of
from penstock_api.ports.keys import Authenticator
from penstock_api.ports.runs import Tasks
from penstock_api.ports.schedules import Schedules, ScheduleWish
from penstock_api.routes.authentication import authenticated
from penstock_api.routes.documents import problems
from penstock_api.routes.json_body import documented, json_body
from penstock_api.routes.known_task import require_task
from penstock_api.routes.schedule_shapes import (
    PreviewView,
    PreviewWanted,
    ScheduleListView,
    ScheduleOrdered,
    ScheduleView,
    ScheduleWanted,
    preview_of,
    view_of,
)
from penstock_common.clock import Clock
from penstock_common.contracts.schedules import ScheduleShown, Timing
from penstock_common.ids import uuid7

ORDERED: dict[int | str, dict[str, Any]] = {
    202: {"model": ScheduleOrdered, "description": "The order is kept, and will be carried out."}
}
Id = Annotated[UUID, Path(alias="id")]
Wanted = Annotated[ScheduleWanted, Depends(json_body(ScheduleWanted))]


def schedules_router(authenticator: Authenticator, schedules: Schedules, tasks: Tasks, clock: Clock) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/api/v1/schedules", tags=["schedules"])
    Caller = Annotated[Key, Depends(authenticated(authenticator, Scope.CHAT))]
    actions = Actions(schedules, tasks, clock)

    @router.post(
        "",
        status_code=201,
        response_model=ScheduleView,
        responses=problems(401, 403, 404, 409, 413, 422, 503, 504) | ORDERED,
        openapi_extra=documented(ScheduleWanted),
    )
    async def create_schedule(caller: Caller, wanted: Wanted) -> ScheduleView | Response:
        """Make a schedule. Each of its moments starts one run of the task, whatever dies meanwhile."""
        return await actions.create(caller, wanted)

    @router.get("", responses=problems(401, 403, 422, 503, 504))
    async def list_schedules(
        caller: Caller,
        after: Annotated[UUID | None, Query(description="The last id of the page before.")] = None,
        limit: Annotated[int, Query(ge=1, le=100)] = 100,
    ) -> ScheduleListView:
        """The schedules of the caller's project, the oldest first."""
        found = await schedules.page(caller.tenant, after, limit)
        return ScheduleListView(schedules=[view_of(shown) for shown in found.schedules], total=found.total)

    @router.post(
        "/preview",
        responses=problems(401, 403, 413, 422, 503, 504),
        openapi_extra=documented(PreviewWanted),
    )
    async def preview_timing(
        caller: Caller, wanted: Annotated[PreviewWanted, Depends(json_body(PreviewWanted))]
    ) -> PreviewView:
        """The next moments of a timing that is kept nowhere; changes of the zone's clock are marked."""
        timing = timing_of(wanted.wanted(), clock.now())
        preview = await schedules.preview(timing, wanted.after, wanted.count)
        check_preview(timing, preview)
        return preview_of(preview.moments)

    @router.get("/{id}", responses=problems(401, 403, 404, 422, 503, 504))
    async def show_schedule(caller: Caller, id_: Id) -> ScheduleView:
        """One schedule, with the input of its runs."""
        return view_of(await actions.find(caller, id_))

    @router.get("/{id}/preview", responses=problems(401, 403, 404, 422, 503, 504))
    async def preview_schedule(caller: Caller, id_: Id, count: Annotated[int, Query(ge=1, le=100)] = 5) -> PreviewView:
        """The next moments of a schedule, as if it were not paused; none where it is over."""
        shown = await actions.find(caller, id_)
        return preview_of((await schedules.preview(shown.timing, None, count)).moments)

    @router.put(
        "/{id}",
        response_model=ScheduleView,
        responses=problems(401, 403, 404, 413, 422, 503, 504) | ORDERED,
        openapi_extra=documented(ScheduleWanted),
    )
    async def replace_schedule(caller: Caller, id_: Id, wanted: Wanted) -> ScheduleView | Response:
        """Make a schedule another one under the same id. A new timing counts from now on."""
        return await actions.replace(caller, await actions.find(caller, id_), wanted)

    @router.post("/{id}/pause", response_model=ScheduleView, responses=problems(401, 403, 404, 422, 503, 504) | ORDERED)
    async def pause_schedule(caller: Caller, id_: Id) -> ScheduleView | Response:
        """Let nothing be due until it is resumed."""
        return await actions.pause(caller, await actions.find(caller, id_), paused=True)

    @router.post(
        "/{id}/resume", response_model=ScheduleView, responses=problems(401, 403, 404, 422, 503, 504) | ORDERED
    )
    async def resume_schedule(caller: Caller, id_: Id) -> ScheduleView | Response:
        """Go on from now; what would have been due meanwhile is not caught up."""
        return await actions.pause(caller, await actions.find(caller, id_), paused=False)

    @router.delete(
        "/{id}", status_code=204, responses=problems(401, 403, 404, 422, 503, 504) | ORDERED, response_class=Response
    )
    async def remove_schedule(caller: Caller, id_: Id) -> Response:
        """Remove a schedule; its runs stay."""
        await actions.find(caller, id_)
        return Response(status_code=204) if await schedules.remove(caller.tenant, id_) else ordered(id_)

    return router


class Actions:
    """What several routes do."""

    def __init__(self, schedules: Schedules, tasks: Tasks, clock: Clock) -> None:
        self.schedules, self.tasks, self.clock = schedules, tasks, clock

    async def find(self, caller: Key, schedule_id: UUID) -> ScheduleShown:
        """Raises ScheduleNotFound, for another project's schedule as well."""
        shown = await self.schedules.find(caller.tenant, schedule_id)
        if shown is None:
            raise ScheduleNotFound
        return shown

    async def create(self, caller: Key, wanted: ScheduleWanted) -> ScheduleView | Response:
        """Raises InvalidRequest, TimingRefused, TaskNotFound, TooManySchedules."""
        timing = timing_of(wanted.wanted(), self.clock.now())
        check_preview(timing, await self.schedules.preview(timing, None, 1))
        await require_task(self.tasks, caller.tenant, wanted.task)
        if (await self.schedules.page(caller.tenant, None, 1)).total >= MOST:
            raise TooManySchedules
        return await self._save(wish_of(caller, uuid7(), wanted, timing))

    async def replace(self, caller: Key, known: ScheduleShown, wanted: ScheduleWanted) -> ScheduleView | Response:
        """Raises InvalidRequest, TimingRefused, TaskNotFound; what stays as it was is not asked about."""
        timing = timing_of(wanted.wanted(), self.clock.now(), known.timing)
        if timing != known.timing:
            check_preview(timing, await self.schedules.preview(timing, None, 1))
        if wanted.task != known.task:
            await require_task(self.tasks, caller.tenant, wanted.task)
        return await self._save(wish_of(caller, known.schedule_id, wanted, timing, known))

    async def pause(self, caller: Key, known: ScheduleShown, *, paused: bool) -> ScheduleView | Response:
        """The same schedule, paused or not."""
        if known.paused is paused:
            return view_of(known)
        wish = ScheduleWish(
            schedule_id=known.schedule_id,
            tenant=caller.tenant,
            key_id=caller.id,
            name=known.name,
            task=known.task,
            timing=known.timing,
            input=known.input,
            misfire=known.misfire,
            paused=paused,
            after=known.saved_at,
        )
        return await self._save(wish)

    async def _save(self, wish: ScheduleWish) -> ScheduleView | Response:
        shown = await self.schedules.save(wish)
        return view_of(shown) if shown else ordered(wish.schedule_id)


def wish_of(
    caller: Key, id_: UUID, wanted: ScheduleWanted, timing: Timing, known: ScheduleShown | None = None
) -> ScheduleWish:
    """What a body asks for, on behalf of a key."""
    return ScheduleWish(
        schedule_id=id_,
        tenant=caller.tenant,
        key_id=caller.id,
        name=wanted.name,
        task=wanted.task,
        timing=timing,
        input=wanted.input,
        misfire=wanted.misfire,
        paused=wanted.paused,
        after=known.saved_at if known else None,
    )


def ordered(schedule_id: UUID) -> Response:
    """202: it will be so."""
    return JSONResponse({"id": str(schedule_id)}, 202)
