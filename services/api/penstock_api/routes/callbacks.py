"""`GET /api/v1/inference/{id}/webhook`: whether the URL that a request named has heard of its end."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Path
from pydantic import BaseModel, ConfigDict, Field

from penstock_api.domain.callbacks import CallbackState
from penstock_api.domain.keys import Key, Scope
from penstock_api.ports.callbacks import CallbackReader
from penstock_api.ports.keys import Authenticator
from penstock_api.routes.authentication import authenticated
from penstock_api.routes.documents import problems

EXAMPLE: dict[str, Any] = {
    "state": "due",
    "attempts": 2,
    "problem": "status 503",
    "next_at": "2030-01-31T12:00:36Z",
}


class WebhookView(BaseModel):
    """What became of the URL that was to hear of a request's end."""

    model_config = ConfigDict(json_schema_extra={"example": EXAMPLE}, from_attributes=True)

    state: CallbackState = Field(
        description="`waiting` for the end, `due`, `delivered`, `gone` as it answered 410, `given_up`, or "
        "`suppressed` where an operator's replay brought the end."
    )
    attempts: int
    problem: str = Field(description="Of the last post: its status, or the code of an error; else empty.")
    next_at: datetime | None = Field(None, description="When it is posted to next.")
    settled_at: datetime | None = Field(None, description="Since when it is posted to no more.")


def callbacks_router(authenticator: Authenticator, callbacks: CallbackReader) -> APIRouter:
    """The route."""
    router = APIRouter(prefix="/api/v1/inference", tags=["inference"])
    Caller = Annotated[Key, Depends(authenticated(authenticator, Scope.CHAT))]

    @router.get("/{id}/webhook", responses=problems(401, 403, 404, 422, 503))
    async def show_inference_webhook(caller: Caller, id_: Annotated[UUID, Path(alias="id")]) -> WebhookView:
        """Whether the URL that the request named was posted to, and what it answered."""
        return WebhookView.model_validate(await callbacks.of(caller.tenant, id_))

    return router
