"""A whole inference process inside of the test's own: real bus, real database, the simulated engine."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from penstock_common.messaging.connect import apply_topology
from penstock_common.service import begin
from penstock_inference.app import App
from penstock_inference.settings import Settings
from tests.support.databases import Databases


def make_inference(database_url: str, bus_url: str, folder: Path, **more: Any) -> App:
    """An inference service that was not begun; the keyring is `folder/keyring`; `more` are settings of its own."""
    settings = Settings.model_validate(
        {
            "bus": {"url": bus_url},
            "database": {"url": database_url},
            "http": {"port": 0},
            "keyring": {"path": folder / "keyring"},
            "secrets": {"path": folder / "secrets"},
            "sim": {"path": folder / "sim"},
            "stop_grace": 0.5,
            **more,
        }
    )
    return App(settings)


@asynccontextmanager
async def inference_process(databases: Databases, bus_url: str, folder: Path, **more: Any) -> AsyncIterator[App]:
    """An inference service that works, as `make_inference` makes it."""
    await apply_topology(bus_url)
    app = make_inference(databases.services["inference"], bus_url, folder, **more)
    await begin(app)
    try:
        yield app
    finally:
        await app.stop()
