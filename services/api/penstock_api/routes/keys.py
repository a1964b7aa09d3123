"""`/api/v1/keys`: keys of one's own project."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Path
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from penstock_api.domain.errors import InvalidRequest
from penstock_api.domain.key_errors import KeyNotFound
from penstock_api.domain.keys import Key, Scope, Tier
from penstock_api.ports.keys import Authenticator, KeyStore, NewKey
from penstock_api.routes.authentication import authenticated
from penstock_api.routes.documents import problems
from penstock_api.routes.json_body import documented, json_body

ORDINARY = (Scope.CHAT, Scope.USAGE)
EXAMPLE: dict[str, Any] = {
    "name": "web shop",
    "scopes": ["chat"],
    "tier": "standard",
    "expires_at": "2030-01-01T00:00:00Z",
}


class KeyWanted(BaseModel):
    """A key to be made."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"example": EXAMPLE},
    )

    name: str = Field("", max_length=100, pattern=r"^[^\x00-\x1f\x7f]*$", description="For people to tell keys apart.")
    scopes: list[str] = Field(
        [scope.value for scope in ORDINARY],
        min_length=1,
        max_length=len(Scope),
        description=f"What it may be used for: {', '.join(Scope)}; no more than the key that makes it.",
    )
    tier: Literal[Tier.STANDARD, Tier.ENTERPRISE] = Field(
        Tier.STANDARD,
        description="How its requests stand where more come than are worked on at once; `enterprise` has slots of its "
        "own. Given by a key of the same tier, or one with the scope `admin`.",
    )
    expires_at: AwareDatetime | None = Field(None, description="From then on it is refused.")


class KeyShown(BaseModel):
    """A key without its secret."""

    id: UUID
    name: str
    prefix: str = Field(description="The first characters of its secret.", examples=["psk-Zk3uQw9x"])
    project_id: UUID
    scopes: list[str]
    tier: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None = Field(description="Known within seconds.")


class KeyMade(KeyShown):
    """A new key."""

    key: str = Field(
        description="The secret, shown this once.", examples=["psk-Zk3uQw9xN0c5yq8mD2v7Lr4sT6hB1gJfXaPeWoKi3Uz"]
    )


class KeyList(BaseModel):
    """Keys of a project."""

    keys: list[KeyShown]


def keys_router(authenticator: Authenticator, store: KeyStore) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/api/v1/keys", tags=["keys"])
    Caller = Annotated[Key, Depends(authenticated(authenticator, Scope.KEYS))]

    @router.post("", status_code=201, responses=problems(401, 403, 413, 422, 503), openapi_extra=documented(KeyWanted))
    async def create_key(caller: Caller, wanted: Annotated[KeyWanted, Depends(json_body(KeyWanted))]) -> KeyMade:
        """Make a key for the caller's project. Its secret is in this answer and nowhere else."""
        _check(wanted, caller)
        new = NewKey(caller.tenant, wanted.name, wanted.scopes, wanted.expires_at, wanted.tier)
        key, secret = await store.create(new)
        return KeyMade(**_fields(key), key=secret)

    @router.get("", responses=problems(401, 403, 503))
    async def list_keys(caller: Caller) -> KeyList:
        """The keys of the caller's project, the oldest first, revoked ones included."""
        return KeyList(keys=[KeyShown(**_fields(key)) for key in await store.of(caller.tenant)])

    @router.delete("/{id}", responses=problems(401, 403, 404, 422, 503))
    async def revoke_key(caller: Caller, id_: Annotated[UUID, Path(alias="id")]) -> KeyShown:
        """Revoke a key; no process accepts it a second later. Repeating it changes nothing."""
        key = await store.find(caller.tenant, id_)
        if key is None:
            raise KeyNotFound
        caller.may_grant(key.scopes)
        revoked = await store.revoke(caller.tenant, id_)
        return KeyShown(**_fields(revoked or key))

    return router


def _check(wanted: KeyWanted, caller: Key) -> None:
    """Raises InvalidRequest, ScopeExceeded."""
    unknown = sorted(set(wanted.scopes) - set(Scope))
    if unknown:
        raise InvalidRequest(f"`scopes`: {', '.join(unknown)} is none of {', '.join(Scope)}.", "scopes")
    if wanted.expires_at is not None and wanted.expires_at <= datetime.now(UTC):
        raise InvalidRequest("`expires_at` lies in the past.", "expires_at")
    caller.may_grant(wanted.scopes)
    caller.may_give(wanted.tier)


def _fields(key: Key) -> dict[str, object]:
    names = ("id", "name", "prefix", "tier", "created_at", "expires_at", "revoked_at", "last_used_at")
    return {"project_id": key.tenant, "scopes": sorted(key.scopes)} | {name: getattr(key, name) for name in names}
