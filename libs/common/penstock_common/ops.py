"""`/healthz`, `/readyz` and `/metrics`: the same three routes in every service."""

from collections.abc import Awaitable, Callable

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

Checks = Callable[[], Awaitable[dict[str, bool]]]


def ops_routes(checks: Checks) -> list[Route]:
    """Liveness says that the loop turns; readiness, that each dependency answers."""

    async def healthz(_: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def readyz(_: Request) -> Response:
        results = await checks()
        ready = all(results.values())
        return JSONResponse({"ready": ready, "checks": results}, 200 if ready else 503)

    async def metrics(_: Request) -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return [Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", metrics)]
