"""`/api/v1/usage`: tokens and cost as billing's ledger has them."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field

from penstock_api.domain.keys import Key, Scope
from penstock_api.ports.keys import Authenticator
from penstock_api.ports.usage import UsageReader
from penstock_api.routes.authentication import authenticated
from penstock_api.routes.documents import problems
from penstock_common.contracts.billing import ModelUsage, UsageReport

FIGURES: dict[str, int] = {
    "requests": 2,
    "prompt_tokens": 40,
    "completion_tokens": 10,
    "total_tokens": 50,
    "cost_nano": 6_000_000,
}


class Figures(BaseModel):
    """Usage of one model."""

    requests: int = Field(description="Requests that were answered, wholly or in part.")
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    cost_nano: int = Field(description="In units of 10^-9 of the currency.")


class Usage(Figures):
    """Usage, in all and by model."""

    model_config = ConfigDict(
        json_schema_extra={"example": {**FIGURES, "currency": "USD", "by_model": {"sim/fast": {**FIGURES}}}}
    )

    currency: str
    by_model: dict[str, Figures]


def usage_router(authenticator: Authenticator, reader: UsageReader) -> APIRouter:
    """The route."""
    router = APIRouter(prefix="/api/v1/usage", tags=["usage"])
    Caller = Annotated[Key, Depends(authenticated(authenticator))]

    @router.get("", responses=problems(401, 403, 422, 503, 504))
    async def read_usage(
        caller: Caller,
        request_id: Annotated[UUID | None, Query(description="Only this request, by its `x-request-id`.")] = None,
    ) -> Usage:
        """Usage of the caller's project; with a key of scope `admin`, of the whole platform."""
        everything = caller.allows(Scope.ADMIN)
        if not everything:
            caller.require(Scope.USAGE)
        return _shown(await reader.read(None if everything else caller.tenant, request_id))

    return router


def _shown(report: UsageReport) -> Usage:
    by_model = {name: Figures(**_figures(usage)) for name, usage in report.by_model.items()}
    return Usage(**_figures(report), currency=report.currency, by_model=by_model)


def _figures(usage: UsageReport | ModelUsage) -> dict[str, int]:
    counted = {name: getattr(usage, name) for name in FIGURES if name != "total_tokens"}
    return counted | {"total_tokens": usage.prompt_tokens + usage.completion_tokens}
