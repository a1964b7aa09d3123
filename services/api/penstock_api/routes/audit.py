"""`/api/v1/admin/audit`: what operators did."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from pydantic import AwareDatetime, BaseModel, Field

from penstock_api.domain.audit import ACT_LENGTH, ACTOR_LENGTH
from penstock_api.domain.keys import Scope
from penstock_api.ports.audit import Audit, AuditQuery
from penstock_api.ports.keys import Authenticator
from penstock_api.routes.authentication import authenticated
from penstock_api.routes.documents import problems
from penstock_common.contracts.operating import OperatorActed, Phase


class AuditEntryShown(BaseModel):
    """One word about an act."""

    id: UUID
    act_id: UUID = Field(description="Of the act; its beginning and its end share it.")
    act: str = Field(examples=["dead-letters.retry"])
    phase: Phase
    actor: str = Field(description="`user@host` of a command line, or `key:` and the id of an API key.")
    details: dict[str, str]
    at: datetime


class AuditPage(BaseModel):
    """Entries, the newest first."""

    entries: list[AuditEntryShown]


def audit_router(authenticator: Authenticator, audit: Audit) -> APIRouter:
    """The route."""
    router = APIRouter(
        prefix="/api/v1/admin/audit",
        tags=["admin"],
        dependencies=[Depends(authenticated(authenticator, Scope.ADMIN))],
    )

    @router.get("", responses=problems(401, 403, 422, 503))
    async def show_audit(  # noqa: PLR0913, PLR0917 (one parameter a filter)
        act: Annotated[
            str | None, Query(max_length=ACT_LENGTH, description="An act, or the first words of several.")
        ] = None,
        actor: Annotated[str | None, Query(max_length=ACTOR_LENGTH)] = None,
        act_id: UUID | None = None,
        since: AwareDatetime | None = None,
        until: Annotated[AwareDatetime | None, Query(description="That moment itself is not part of it.")] = None,
        before: Annotated[UUID | None, Query(description="Only what is older than the entry of this id.")] = None,
        limit: Annotated[int, Query(ge=1, le=500)] = 100,
    ) -> AuditPage:
        """What operators did, the newest first. Entries are kept for seven years and can't be changed."""
        query = AuditQuery(act=act, actor=actor, act_id=act_id, since=since, until=until)
        return AuditPage(entries=[_shown(entry) for entry in await audit.read(query, before, limit)])

    return router


def _shown(entry: OperatorActed) -> AuditEntryShown:
    return AuditEntryShown(
        id=entry.entry_id,
        act_id=entry.act_id,
        act=entry.act,
        phase=entry.phase,
        actor=entry.actor,
        details=entry.details,
        at=entry.at,
    )
