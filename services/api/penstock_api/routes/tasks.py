"""`/api/v1/tasks`: what runs are made of."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.responses import JSONResponse

from penstock_api.domain.errors import BodyTooLarge
from penstock_api.domain.keys import Key, Scope
from penstock_api.domain.run_orders import TaskNotFound
from penstock_api.domain.strict_json import parse
from penstock_api.ports.keys import Authenticator
from penstock_api.ports.runs import Tasks
from penstock_api.routes.authentication import authenticated
from penstock_api.routes.body import read_body
from penstock_api.routes.documents import problems
from penstock_api.routes.run_shapes import DECLARATION, TaskOrdered, TaskPage, TaskSummary, TaskView, task_view_of
from penstock_common.tasks.checks import MAX_BYTES, check_task_name, task_of

ORDERED: dict[int | str, dict[str, Any]] = {
    202: {"model": TaskOrdered, "description": "The order is kept, and will be carried out."}
}
BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "title": "Declaration",
                    "description": "`steps`, and optionally `description` and `output`; at most 64 KiB and 50 steps.",
                    "required": ["steps"],
                    "example": DECLARATION,
                }
            }
        },
    }
}
Name = Annotated[str, Path(max_length=64)]


def tasks_router(authenticator: Authenticator, tasks: Tasks) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/api/v1/tasks", tags=["tasks"])
    Caller = Annotated[Key, Depends(authenticated(authenticator, Scope.CHAT))]

    @router.get("", responses=problems(401, 403, 422, 503, 504))
    async def list_tasks(
        caller: Caller,
        after: Annotated[str, Query(max_length=64, description="The last name of the page before.")] = "",
        limit: Annotated[int, Query(ge=1, le=200)] = 100,
    ) -> TaskPage:
        """The tasks of the caller's project by name."""
        found = await tasks.page(caller.tenant, after, limit)
        return TaskPage(tasks=[TaskSummary(name=t.name, version=t.version, saved_at=t.saved_at) for t in found.tasks])

    @router.get("/{name}", responses=problems(401, 403, 404, 422, 503, 504))
    async def show_task(caller: Caller, name: Name) -> TaskView:
        """One task."""
        found = await tasks.find(caller.tenant, name)
        if found is None:
            raise TaskNotFound
        return task_view_of(found)

    @router.put(
        "/{name}",
        response_model=TaskView,
        responses=problems(401, 403, 413, 422, 503) | ORDERED,
        openapi_extra=BODY,
    )
    async def save_task(
        caller: Caller, name: Name, declaration: Annotated[dict[str, Any], Depends(declared)]
    ) -> TaskView | Response:
        """Declare a task, or replace the one of this name; runs that began keep what they began with."""
        check_task_name(name)
        task_of(declaration)
        saved = await tasks.save(caller.tenant, name, declaration)
        return task_view_of(saved) if saved else _ordered(name)

    @router.delete(
        "/{name}", status_code=204, response_model=None, responses=problems(401, 403, 404, 503, 504) | ORDERED
    )
    async def remove_task(caller: Caller, name: Name) -> Response:
        """Forget a task; its runs stay."""
        if await tasks.find(caller.tenant, name) is None:
            raise TaskNotFound
        gone = await tasks.remove(caller.tenant, name)
        return Response(status_code=204) if gone else _ordered(name)

    return router


async def declared(request: Request) -> Any:
    """The body, as JSON. Raises BodyTooLarge, BodyTooSlow, InvalidRequest."""
    try:
        raw = await read_body(request.scope, request.receive, MAX_BYTES)
    except BodyTooLarge as error:
        raise BodyTooLarge("The declaration is larger than 64 KiB; put large texts into the run's input.") from error
    return parse(raw)


def _ordered(name: str) -> Response:
    return JSONResponse({"name": name}, 202)
