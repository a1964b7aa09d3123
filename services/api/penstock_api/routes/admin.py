"""`/api/v1/admin/models`: the operator's view of the catalogue, and orders to its owner."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path
from pydantic import BaseModel, ConfigDict, Field

from penstock_api.domain.errors import ModelNotFound
from penstock_api.domain.keys import Scope
from penstock_api.domain.model_orders import ENGINES, check_registration
from penstock_api.ports.catalogue import ModelOrders, Models
from penstock_api.ports.keys import Authenticator
from penstock_api.routes.authentication import authenticated
from penstock_api.routes.documents import problems
from penstock_api.routes.json_body import documented, json_body
from penstock_common.contracts.catalogue import NANO, CatalogueModel, RegisterModel, RemoveModel

HIGHEST = 1000 * NANO  # times a million tokens it fits 64 bits
Nano = Annotated[int, Field(ge=0, le=HIGHEST, description="In units of 10^-9 USD per token.")]
Capability = Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,32}$")]
EXAMPLE: dict[str, str | int] = {
    "name": "local/tiny",
    "engine": "openai-compatible",
    "url": "http://127.0.0.1:8081/v1",
    "upstream_model": "tiny",
    "input_nano": 100,
    "output_nano": 200,
}


class ModelWanted(BaseModel):
    """A model to be added, or to replace the one of this name."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {**EXAMPLE}})

    name: str = Field(max_length=128)
    engine: str = Field(max_length=32, description=f"One of {', '.join(ENGINES)}.")
    url: str = Field("", max_length=2048, description="The engine's base URL, up to and with `/v1`; none for `sim`.")
    upstream_model: str = Field(
        "", max_length=256, description="What the engine calls it; empty: as it is called here."
    )
    secret: str = Field("", max_length=128, description="The name under which the engine's key is found.")
    aliases: list[str] = Field([], max_length=32)
    context_tokens: int = Field(0, ge=0, le=1_000_000_000)
    capabilities: Annotated[list[Capability], Field(max_length=32)] = []
    input_nano: Nano = 0
    output_nano: Nano = 0
    cached_input_nano: Nano | None = Field(None, description="Empty: half of `input_nano`.")
    provider_input_nano: Nano = 0
    provider_output_nano: Nano = 0
    take_over: str = Field(
        "",
        max_length=16,
        description=(
            "How an answer goes on whose process died after its client got a part of it: `prefix` (the engine "
            "continues it), `verify` (a deterministic one is generated again and compared), `fail` (it ends there); "
            "empty: what suits the engine."
        ),
    )


class PriceShown(BaseModel):
    """Units of 10^-9 of the currency per token."""

    version: int
    currency: str
    input_nano: int
    output_nano: int
    cached_input_nano: int
    provider_input_nano: int
    provider_output_nano: int


class ModelShown(BaseModel):
    """A model as the catalogue has it."""

    name: str
    engine: str
    provider: str
    price: PriceShown
    aliases: list[str]
    context_tokens: int
    capabilities: list[str]
    simulated: bool
    created: int = Field(description="Unix seconds.")
    take_over: str = Field(description="`prefix`, `verify` or `fail`; empty where it is not known yet.")


class CatalogueShown(BaseModel):
    """The catalogue at a version."""

    catalogue_version: int
    models: list[ModelShown]


class Ordered(BaseModel):
    """The order is kept and will be carried out; the catalogue's version grows when it is."""

    name: str
    catalogue_version: int = Field(description="Of the catalogue before the order.", examples=[7])


def admin_router(authenticator: Authenticator, models: Models, orders: ModelOrders) -> APIRouter:
    """The routes."""
    router = APIRouter(
        prefix="/api/v1/admin/models",
        tags=["admin"],
        dependencies=[Depends(authenticated(authenticator, Scope.ADMIN))],
    )

    @router.get("", responses=problems(401, 403))
    async def show_catalogue() -> CatalogueShown:
        """Every model with its price."""
        return CatalogueShown(catalogue_version=models.version, models=[_shown(m) for m in models.models])

    @router.post(
        "", status_code=202, responses=problems(401, 403, 409, 413, 422, 503), openapi_extra=documented(ModelWanted)
    )
    async def register_model(wanted: Annotated[ModelWanted, Depends(json_body(ModelWanted))]) -> Ordered:
        """Add or replace a model. It serves within a second."""
        command = RegisterModel(**wanted.model_dump())
        check_registration(command, models.resolve)
        return await _order(command)

    @router.delete("/{name:path}", status_code=202, responses=problems(401, 403, 404, 503))
    async def remove_model(name: Annotated[str, Path(description="The model's name, no alias.")]) -> Ordered:
        """Take a model out of the catalogue; its prices and charges stay."""
        found = models.resolve(name)
        if found is None or found.name != name:
            raise ModelNotFound(
                f"The model {name[:128]!r} does not exist; GET /api/v1/admin/models lists those that do."
            )
        return await _order(RemoveModel(name=name))

    async def _order(command: RegisterModel | RemoveModel) -> Ordered:
        before = models.version
        await orders.order(command)
        return Ordered(name=command.name, catalogue_version=before)

    return router


def _shown(model: CatalogueModel) -> ModelShown:
    return ModelShown.model_validate(model, from_attributes=True)
