"""`/api/v1/admin/discovery`: which engines were found, and why others were not."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field

from penstock_api.domain.keys import Scope
from penstock_api.ports.discovery import DiscoveryReader
from penstock_api.ports.keys import Authenticator
from penstock_api.routes.authentication import authenticated
from penstock_api.routes.documents import problems

EXAMPLE: dict[str, object] = {
    "enabled": True,
    "findings": [
        {
            "address": "127.0.0.1:11434",
            "usual": ["Ollama"],
            "engine": "Ollama",
            "version": "0.12.6",
            "state": "serving",
            "reason": "Ollama serves 1 model(s)",
            "models": ["ollama/llama3.2:1b"],
            "since": "2026-01-01T00:00:00Z",
        }
    ],
    "engines": [],
}


class FindingShown(BaseModel):
    """One address that was looked at."""

    address: str
    usual: list[str] = Field(description="The engines that usually listen there.")
    engine: str = Field(description="What was recognised; empty for nothing.")
    version: str
    state: str = Field(
        description="`serving`, `empty`, `loading`, `locked`, `stranger`, `silent`, `absent`, `away` or `own`."
    )
    reason: str
    models: list[str] = Field(description="As they are served here.")
    since: datetime


class EngineShown(BaseModel):
    """One engine of the catalogue, asked just now."""

    url: str
    provider: str
    models: list[str]
    state: str = Field(description="`ok`, `unreachable`, `key_refused`, `key_missing`, `model_missing` or `failing`.")
    reason: str


class DiscoveryShown(BaseModel):
    """What one process of inference knows."""

    model_config = ConfigDict(json_schema_extra={"example": EXAMPLE})  # type: ignore[dict-item]

    enabled: bool = Field(description="Whether engines are looked for at all.")
    findings: list[FindingShown]
    engines: list[EngineShown] = Field(description="Only with `check`.")


def discovery_router(authenticator: Authenticator, reader: DiscoveryReader) -> APIRouter:
    """The route."""
    router = APIRouter(
        prefix="/api/v1/admin/discovery",
        tags=["admin"],
        dependencies=[Depends(authenticated(authenticator, Scope.ADMIN))],
    )

    @router.get("", responses=problems(401, 403, 422, 503, 504))
    async def read_discovery(
        check: Annotated[bool, Query(description="Ask each engine of the catalogue now.")] = False,
    ) -> DiscoveryShown:
        """Where engines were looked for, and what was found."""
        report = await reader.read(check=check)
        return DiscoveryShown(
            enabled=report.enabled,
            findings=[FindingShown.model_validate(f, from_attributes=True) for f in report.findings],
            engines=[EngineShown.model_validate(e, from_attributes=True) for e in report.engines],
        )

    return router
