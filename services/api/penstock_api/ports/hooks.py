"""Webhooks, as routes use them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol
from uuid import UUID

from penstock_api.domain.hooks import Hook, Signing


@dataclass(frozen=True, slots=True, kw_only=True)
class NewHook:
    """What a webhook to be made is to be."""

    tenant: UUID
    key_id: UUID
    name: str
    task: str
    signing: Signing
    secret: str


@dataclass(frozen=True, slots=True)
class Trusted:
    """A webhook with the keys that its deliveries may be signed by."""

    hook: Hook
    keys: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class Started:
    """The run of a delivery; `duplicate` where an earlier delivery of the same id started it."""

    run_id: UUID
    duplicate: bool


class Hooks(Protocol):
    """The webhooks of every project. Every method raises DatabaseUnavailable."""

    async def create(self, wanted: NewHook) -> Hook:
        """The new webhook. Raises TooManyHooks."""

    async def of(self, tenant: UUID) -> list[Hook]:
        """The webhooks of a project, the oldest first."""

    async def rotate(self, tenant: UUID, hook_id: UUID, secret: str, overlap: timedelta) -> Hook:
        """Take a new secret; the one before it stays good for `overlap`. Raises HookNotFound."""

    async def find(self, tenant: UUID, hook_id: UUID) -> Hook:
        """One webhook of a project. Raises HookNotFound."""

    async def remove(self, tenant: UUID, hook_id: UUID) -> bool:
        """Refuse its deliveries from now on; False where the project has no such webhook."""

    async def trusted(self, hook_id: UUID) -> Trusted | None:
        """A webhook of any project, to check a delivery by."""

    async def order_run(self, hook: Hook, delivery_id: str, given: dict[str, Any], depth: int) -> Started:
        """Order a delivery's run, durably and once."""
