"""`/api/v1/hooks`: webhooks of one's own project."""

import os
from datetime import datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Response
from pydantic import BaseModel, ConfigDict, Field

from penstock_api.domain.hooks import (
    GENERATED_BYTES,
    LONGEST_OVERLAP,
    Encoding,
    Hook,
    HookNotFound,
    Scheme,
    Signing,
    check_signing,
    key_of,
    secret_of,
)
from penstock_api.domain.keys import Key, Scope
from penstock_api.ports.hooks import Hooks, NewHook
from penstock_api.ports.keys import Authenticator
from penstock_api.ports.runs import Tasks
from penstock_api.routes.authentication import authenticated
from penstock_api.routes.documents import problems
from penstock_api.routes.json_body import documented, json_body
from penstock_api.routes.known_task import require_task

PATH = "/hooks/{id}"
NAME = r"^[^\x00-\x1f\x7f]*$"
GITHUB = Signing(Scheme.HMAC)
SECRET_EXAMPLE = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105 (the specification's own)
MADE_EXAMPLE: dict[str, Any] = {
    "id": "01936f3e-8f2a-7c31-9d2e-5b8f6a1c0d4e",
    "path": "/hooks/01936f3e-8f2a-7c31-9d2e-5b8f6a1c0d4e",
    "name": "issues",
    "task": "triage",
    "scheme": "standard-webhooks",
    "signature_header": "webhook-signature",
    "delivery_header": "webhook-id",
    "prefix": "v1,",
    "encoding": "base64",
    "created_at": "2026-11-21T12:00:00Z",
    "secret": SECRET_EXAMPLE,
}


class SecretWanted(BaseModel):
    """The secret that signs deliveries."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"overlap_seconds": 86_400}})

    secret: str | None = Field(None, max_length=256, description="Made here, where none is given.")
    overlap_seconds: int = Field(
        86_400,
        ge=0,
        le=int(LONGEST_OVERLAP.total_seconds()),
        description="How long the secret before it stays good.",
    )


class HookWanted(BaseModel):
    """A webhook to be made. The defaults for `hmac-sha256` are those of GitHub."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"name": "issues", "task": "triage", "scheme": "hmac-sha256"}}
    )

    name: str = Field("", max_length=100, pattern=NAME, description="For people to tell webhooks apart.")
    task: str = Field(min_length=1, max_length=100, pattern=NAME, description="The declared task that it runs.")
    scheme: Scheme = Scheme.STANDARD
    signature_header: str = Field(GITHUB.signature_header, max_length=100, description="Of a plain HMAC.")
    prefix: str = Field(GITHUB.prefix, max_length=32, pattern=r"^[\x21-\x7e]*$", description="Before a plain HMAC.")
    encoding: Encoding = Field(GITHUB.encoding, description="Of a plain HMAC.")
    delivery_header: str = Field(GITHUB.delivery_header, max_length=100, description="Carries the delivery's own id.")
    secret: str | None = Field(None, max_length=256, description="Made here, where none is given.")

    def signing(self) -> Signing:
        """The signature's part of the body."""
        return Signing(
            self.scheme, self.signature_header.lower(), self.prefix, self.delivery_header.lower(), self.encoding
        )


class HookShown(BaseModel):
    """A webhook without its secret."""

    id: UUID
    path: str = Field(description="Where deliveries are posted to, on this host.")
    name: str
    task: str
    scheme: Scheme
    signature_header: str
    prefix: str
    encoding: Encoding
    delivery_header: str
    created_at: datetime
    rotated_at: datetime | None = None
    previous_until: datetime | None = Field(
        None, description="Until then the secret before the last rotation is good too."
    )


class HookMade(HookShown):
    """A webhook with its new secret."""

    model_config = ConfigDict(json_schema_extra={"example": MADE_EXAMPLE})

    secret: str = Field(description="Shown this once.")


class HookList(BaseModel):
    """Webhooks of a project."""

    hooks: list[HookShown]


def hooks_router(authenticator: Authenticator, hooks: Hooks, tasks: Tasks) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/api/v1/hooks", tags=["hooks"])
    Caller = Annotated[Key, Depends(authenticated(authenticator, Scope.CHAT))]
    Id = Annotated[UUID, Path(alias="id")]

    @router.post(
        "", status_code=201, responses=problems(401, 403, 404, 409, 413, 422, 503), openapi_extra=documented(HookWanted)
    )
    async def create_hook(caller: Caller, wanted: Annotated[HookWanted, Depends(json_body(HookWanted))]) -> HookMade:
        """Make a webhook: each delivery that its secret signed starts a run. The secret is in this answer alone."""
        signing = wanted.signing()
        check_signing(signing)
        await require_task(tasks, caller.tenant, wanted.task)
        secret = _secret(signing.scheme, wanted.secret)
        new = NewHook(
            tenant=caller.tenant,
            key_id=caller.id,
            name=wanted.name,
            task=wanted.task,
            signing=signing,
            secret=secret,
        )
        return HookMade(**_fields(await hooks.create(new)), secret=secret)

    @router.get("", responses=problems(401, 403, 503))
    async def list_hooks(caller: Caller) -> HookList:
        """The webhooks of the caller's project, the oldest first."""
        return HookList(hooks=[HookShown(**_fields(hook)) for hook in await hooks.of(caller.tenant)])

    @router.post(
        "/{id}/rotate", responses=problems(401, 403, 404, 413, 422, 503), openapi_extra=documented(SecretWanted)
    )
    async def rotate_secret(
        caller: Caller, id_: Id, wanted: Annotated[SecretWanted, Depends(json_body(SecretWanted))]
    ) -> HookMade:
        """Give a webhook a new secret; deliveries signed by the one before it are still taken for a while."""
        scheme = (await hooks.find(caller.tenant, id_)).signing.scheme
        secret = _secret(scheme, wanted.secret)
        overlap = timedelta(seconds=wanted.overlap_seconds)
        return HookMade(**_fields(await hooks.rotate(caller.tenant, id_, secret, overlap)), secret=secret)

    @router.delete("/{id}", status_code=204, responses=problems(401, 403, 404, 422, 503), response_class=Response)
    async def remove_hook(caller: Caller, id_: Id) -> Response:
        """Remove a webhook: its deliveries are refused from now on. Its runs stay."""
        if not await hooks.remove(caller.tenant, id_):
            raise HookNotFound
        return Response(status_code=204)

    return router


def _secret(scheme: Scheme, given: str | None) -> str:
    """The given secret, if it can be one, or a new one. Raises InvalidRequest."""
    secret = secret_of(scheme, os.urandom(GENERATED_BYTES)) if given is None else given
    key_of(scheme, secret)
    return secret


def _fields(hook: Hook) -> dict[str, Any]:
    signing = hook.signing
    names = ("id", "name", "task", "created_at", "rotated_at", "previous_until")
    fields: dict[str, Any] = {name: getattr(hook, name) for name in names} | {"path": PATH.format(id=hook.id)}
    if signing.scheme is Scheme.STANDARD:
        standard = ("webhook-signature", "v1,", Encoding.BASE64, "webhook-id")
        return fields | dict(zip(SIGNING, standard, strict=True)) | {"scheme": signing.scheme}
    return fields | {name: getattr(signing, name) for name in (*SIGNING, "scheme")}


SIGNING = ("signature_header", "prefix", "encoding", "delivery_header")
