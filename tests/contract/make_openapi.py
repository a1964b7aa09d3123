"""`python -m tests.contract.make_openapi`: write docs/openapi.json anew."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from starlette.testclient import TestClient

from penstock_api.app import build
from tests.support.api import settings

PATH = Path(__file__).resolve().parents[2] / "docs" / "openapi.json"
DATABASE, BUS = "postgresql://nobody@127.0.0.1:1/none", "nats://127.0.0.1:1"


def document() -> dict[str, Any]:
    """As a process serves it before it could reach anything."""
    with TemporaryDirectory() as keyring:
        app = build(settings(DATABASE, BUS, Path(keyring)))
        served: dict[str, Any] = TestClient(app.asgi).get("/openapi.json").raise_for_status().json()
        return served


def text() -> str:
    """The document of api as it is today."""
    return json.dumps(document(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    PATH.write_text(text())
