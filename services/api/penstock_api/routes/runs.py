"""`/api/v1/runs`: tasks on their way."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Path, Query, Response
from fastapi.responses import StreamingResponse

from penstock_api.domain.deliveries import depth_of
from penstock_api.domain.idempotency import HEADER, idempotency_key_of
from penstock_api.domain.keys import Key, Scope
from penstock_api.domain.run_orders import LATEST_VERSION, TaskNotFound, resume_after
from penstock_api.ports.keys import Authenticator
from penstock_api.ports.runs import Runs, RunWish, Tasks
from penstock_api.routes.authentication import authenticated
from penstock_api.routes.documents import Responses, problems
from penstock_api.routes.json_body import documented, json_body
from penstock_api.routes.run_events import PAGE, is_over, run_events
from penstock_api.routes.run_shapes import RunAccepted, RunPage, RunView, RunWanted, summary_of, view_of
from penstock_common.contracts.runs import DEPTH_HEADER, RunReport
from penstock_common.errors import NoAnswer
from penstock_common.tasks.checks import check_task_name, task_of

Id = Annotated[UUID, Path(alias="id")]
UNBUFFERED = {"cache-control": "no-cache", "x-accel-buffering": "no"}
STREAM = "Server-sent events: `id` is a version, `event` a kind, `data` an object of `version`, `at`, `step`, `detail`."
EVENTS: Responses = {
    200: {
        "description": "Events; the id of each is its version.",
        "content": {"text/event-stream": {"schema": {"type": "string", "description": STREAM}}},
    },
    204: {"description": "The run has ended, and nothing follows the version."},
}


def runs_router(authenticator: Authenticator, runs: Runs, tasks: Tasks) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/api/v1/runs", tags=["runs"])
    Caller = Annotated[Key, Depends(authenticated(authenticator, Scope.CHAT))]

    @router.post(
        "",
        status_code=202,
        responses=problems(401, 403, 404, 409, 413, 422, 503),
        openapi_extra=documented(RunWanted),
    )
    async def start_run(
        caller: Caller,
        wanted: Annotated[RunWanted, Depends(json_body(RunWanted))],
        key: Annotated[str | None, Header(alias=HEADER, description="Names the run: asked again, it is one.")] = None,
        depth: Annotated[str | None, Header(alias=DEPTH_HEADER, description="Runs above it; steps send it.")] = None,
    ) -> RunAccepted:
        """Run a task once. From this answer on it is never lost; its steps are not repeated when processes die."""
        wish = RunWish(
            tenant=caller.tenant,
            key_id=caller.id,
            task=wanted.task if isinstance(wanted.task, str) else "",
            declaration=wanted.task if isinstance(wanted.task, dict) else None,
            input=wanted.input,
            idempotency_key=idempotency_key_of(key),
            depth=depth_of(depth),
        )
        await _check(wish, tasks)
        return RunAccepted(id=await runs.start(wish))

    @router.get("", responses=problems(401, 403, 422, 503, 504))
    async def list_runs(
        caller: Caller,
        before: Annotated[UUID | None, Query(description="The last id of the page before.")] = None,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
        task: Annotated[str, Query(max_length=64, description="Only runs of this task.")] = "",
    ) -> RunPage:
        """The runs of the caller's project, the newest first."""
        found = await runs.page(caller.tenant, before, limit, task)
        return RunPage(runs=[summary_of(run) for run in found.runs])

    @router.get("/{id}", responses=problems(401, 403, 404, 422, 503, 504))
    async def show_run(caller: Caller, id_: Id) -> RunView:
        """One run."""
        return _view(await runs.read(caller.tenant, id_))

    @router.get("/{id}/events", response_class=Response, responses=EVENTS | problems(401, 403, 404, 422, 429, 503, 504))
    async def watch_run(
        caller: Caller,
        id_: Id,
        after: Annotated[int | None, Query(ge=0, le=LATEST_VERSION, description="Only what follows this id.")] = None,
        last_event_id: Annotated[str | None, Header(description="As browsers send it when they come back.")] = None,
    ) -> Response:
        """The run's journal as server-sent events, from the start or from where a client was cut, until its end."""
        since = resume_after(after, last_event_id)
        first = await runs.read(caller.tenant, id_, since, PAGE)
        if is_over(first, since):
            return Response(status_code=204)
        events = run_events(runs, caller.tenant, id_, first, since)
        return StreamingResponse(events, media_type="text/event-stream", headers=UNBUFFERED)

    @router.post("/{id}/cancel", status_code=202, responses=problems(401, 403, 404, 422, 503, 504))
    async def cancel_run(caller: Caller, id_: Id) -> RunView:
        """End a run before its next step, and stop the model call under way. One that has ended stays as it is."""
        return _view(await runs.cancel(caller.tenant, id_))

    return router


async def _check(wish: RunWish, tasks: Tasks) -> None:
    """Raises TaskInvalid, TaskNotFound. Where worker does not answer, the run itself will say so."""
    if wish.declaration is not None:
        task_of(wish.declaration)
        return
    check_task_name(wish.task)
    try:
        known = await tasks.find(wish.tenant, wish.task)
    except NoAnswer:
        return
    if known is None:
        raise TaskNotFound(f"There is no task {wish.task!r}; GET /api/v1/tasks lists those there are.")


def _view(report: RunReport) -> RunView:
    assert report.run is not None
    return view_of(report.run)
