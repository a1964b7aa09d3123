"""An api and an inference process whose queue gives few turns at a time."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from penstock_api.domain.keys import digest_of
from penstock_common.guarded_http.settings import ReachSettings
from penstock_common.ids import uuid7
from penstock_inference.app import App as Inference
from tests.integration.inference.crash.endings import until
from tests.support.api import ADMIN
from tests.support.chat import ApiProcess, api_process
from tests.support.databases import Databases
from tests.support.inference import inference_process
from tests.support.replicas import client_of
from tests.support.submitting import rows


@dataclass
class Platform:
    """An api and an inference process, and a client."""

    databases: Databases
    bus_url: str
    folder: Path
    api: ApiProcess
    inference: Inference
    client: httpx.AsyncClient


@asynccontextmanager
async def platform_on(
    databases: Databases, bus_url: str, folder: Path, *, allow: Sequence[str] = (), **queue: Any
) -> AsyncIterator[Platform]:
    """Start it; `queue` are settings of the queue, `allow` names what webhooks may reach inside."""
    webhooks = ReachSettings(allow=list(allow))
    async with (
        inference_process(databases, bus_url, folder, queue=queue) as inference,
        api_process(databases, bus_url, folder / "keyring", webhooks=webhooks) as api,
        client_of(api) as client,
    ):
        await until(lambda: api.app.catalogue.version, lambda: "no catalogue")
        yield Platform(databases, bus_url, folder, api, inference, client)


async def stranger(platform: Platform) -> None:
    """Move the administrator's key to a project of its own."""
    project = uuid7()
    await rows(platform.databases, "insert into api.projects (id, name) values ($1, 'other') returning 1", project)
    moved = "update api.keys set project_id = $1 where sha256 = $2 returning 1"
    await rows(platform.databases, moved, project, digest_of(ADMIN))
    await platform.api.app.keys.refresh()
