"""`/v1/models`, as OpenAI's clients know it."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Path
from pydantic import BaseModel, ConfigDict

from penstock_api.domain.errors import ModelNotFound
from penstock_api.domain.keys import Key
from penstock_api.ports.catalogue import Models
from penstock_api.ports.keys import Authenticator
from penstock_api.routes.authentication import authenticated
from penstock_api.routes.documents import openai_errors
from penstock_common.contracts.catalogue import CatalogueModel


class ModelObject(BaseModel):
    """A model."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {"id": "sim/fast", "object": "model", "created": 1_763_700_000, "owned_by": "sim"}
        }
    )

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str


class ModelPage(BaseModel):
    """All models."""

    object: Literal["list"] = "list"
    data: list[ModelObject]


def models_router(authenticator: Authenticator, models: Models) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/v1/models", tags=["models"])
    Caller = Annotated[Key, Depends(authenticated(authenticator))]

    @router.get("", responses=openai_errors(401))
    async def list_models(caller: Caller) -> ModelPage:
        """The models that may be asked, by name."""
        return ModelPage(data=[_shown(model) for model in models.models])

    @router.get("/{model:path}", responses=openai_errors(401, 404))
    async def retrieve_model(
        caller: Caller, model: Annotated[str, Path(description="A name or an alias; slashes as they are, or as %2F.")]
    ) -> ModelObject:
        """One model."""
        found = models.resolve(model)
        if found is None:
            raise ModelNotFound(f"The model {model[:128]!r} does not exist; GET /v1/models lists those that do.")
        return _shown(found)

    return router


def _shown(model: CatalogueModel) -> ModelObject:
    return ModelObject(id=model.name, created=model.created, owned_by=model.provider)
