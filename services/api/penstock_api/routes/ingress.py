"""`POST /hooks/{id}`: deliveries of other systems. Its key is the signature."""

import os
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, ConfigDict, Field

from penstock_api import metrics
from penstock_api.domain.deliveries import (
    MAX_BYTES,
    check_signature,
    delivery_id_of,
    depth_of,
    input_of,
)
from penstock_api.domain.errors import BodyTooLarge, InvalidRequest
from penstock_api.domain.hooks import DeliveryIdMissing, DeliveryRefused, Scheme, Signing
from penstock_api.ports.hooks import Hooks, Trusted
from penstock_api.routes.body import read_body
from penstock_api.routes.documents import problems
from penstock_api.routes.hooks import PATH
from penstock_common.clock import Clock
from penstock_common.contracts.runs import DEPTH_HEADER

NOBODY = Signing(Scheme.STANDARD)
BODY: dict[str, Any] = {
    "requestBody": {
        "description": "Anything up to 1 MB; JSON is given to the run as what it means, all else as text.",
        "required": True,
        "content": {"*/*": {"schema": {"description": "Anything."}, "example": {"action": "opened"}}},
    },
    "parameters": [
        {
            "name": DEPTH_HEADER,
            "in": "header",
            "required": False,
            "description": "How many runs stand above the one that this delivery starts; 0 for none.",
            "schema": {"type": "integer", "minimum": 0},
        }
    ],
}


class DeliveryTaken(BaseModel):
    """The run that a delivery started."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"run_id": "01936f3e-8f2a-7c31-9d2e-5b8f6a1c0d4e", "duplicate": False}}
    )

    run_id: UUID
    duplicate: bool = Field(description="Whether an earlier delivery of the same id started it.")


def ingress_router(hooks: Hooks, clock: Clock) -> APIRouter:
    """The route."""
    router = APIRouter(tags=["hooks"])

    @router.post(PATH, status_code=202, responses=problems(400, 401, 413, 422, 503), openapi_extra=BODY)
    async def receive_delivery(request: Request, id_: Annotated[str, Path(alias="id")]) -> DeliveryTaken:
        """Take a delivery: once this is answered, its run is ordered, whatever dies. A repetition starts no other."""
        try:
            taken = await _take(hooks, clock, request, id_)
        except (DeliveryRefused, DeliveryIdMissing, InvalidRequest, BodyTooLarge) as error:
            metrics.HOOK_DELIVERIES.labels("refused" if isinstance(error, DeliveryRefused) else "invalid").inc()
            raise
        metrics.HOOK_DELIVERIES.labels("repeated" if taken.duplicate else "taken").inc()
        return taken

    return router


async def _take(hooks: Hooks, clock: Clock, request: Request, id_: str) -> DeliveryTaken:
    try:
        body = await read_body(request.scope, request.receive, MAX_BYTES)
    except BodyTooLarge as error:
        raise BodyTooLarge("The body is larger than 1 MB, the most that a webhook takes.") from error
    headers = dict(request.headers)
    trusted = await _trusted(hooks, id_)
    # An unknown webhook costs the same work and gets the same answer as a wrong signature.
    signing, keys = (trusted.hook.signing, trusted.keys) if trusted else (NOBODY, [os.urandom(32)])
    check_signature(signing, keys, headers, body, clock.now())
    assert trusted is not None
    delivery_id = delivery_id_of(signing, headers)
    given = input_of(headers, body) | {"delivery_id": delivery_id}
    started = await hooks.order_run(trusted.hook, delivery_id, given, depth_of(headers.get(DEPTH_HEADER)))
    return DeliveryTaken(run_id=started.run_id, duplicate=started.duplicate)


async def _trusted(hooks: Hooks, id_: str) -> Trusted | None:
    try:
        hook_id = UUID(id_)
    except ValueError:
        return None
    return await hooks.trusted(hook_id)
