"""The least service: what `run_service` does for every one of them. Run as `python -m tests.support.tiny_service`."""

import asyncio
from typing import Any

import structlog
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from penstock_common.errors import DatabaseUnavailable
from penstock_common.ops import ops_routes
from penstock_common.service import run_service
from penstock_common.settings import ServiceSettings, service_config

log = structlog.get_logger()


class Settings(ServiceSettings):
    """`PENSTOCK_TINY_…`."""

    model_config = service_config("tiny")

    absent: int = 0
    """How often the database does not answer at start."""


class App:
    """Answers the three routes of all services, and one that takes a while."""

    def __init__(self, settings: Settings) -> None:
        self.absent, self.ready = settings.absent, False
        self.asgi: Any = Starlette(routes=[*ops_routes(self.checks), Route("/slow", self.slow)])

    async def connect(self) -> None:
        """Connect to nothing, at the first attempt or a later one."""
        if self.absent:
            self.absent -= 1
            raise DatabaseUnavailable

    async def start(self) -> None:
        """Be ready."""
        self.ready = True

    async def stop(self, grace: float | None = None) -> None:
        """Say so."""
        log.info("tiny.stopped")

    async def checks(self) -> dict[str, bool]:
        """Whether it was started."""
        return {"started": self.ready}

    async def slow(self, _: Request) -> Response:
        """Half a second."""
        log.info("slow.begun")
        await asyncio.sleep(0.5)
        return PlainTextResponse("done")


if __name__ == "__main__":
    run_service("tiny", Settings, App)
