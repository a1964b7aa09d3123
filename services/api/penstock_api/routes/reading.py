"""What people and programs read of this platform: `/docs`, and AsyncAPI beside FastAPI's own `/openapi.json`."""

import html
from collections.abc import Iterator
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import BaseRoute, Route

from penstock_common.asyncapi import document
from penstock_common.topology import PLATFORM

ASSETS = {"swagger-ui-bundle.js": "text/javascript", "swagger-ui.css": "text/css"}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Everything comes from this very address: the page works without the internet, and runs nothing else."""
HEADERS = {"content-security-policy": POLICY, "x-content-type-options": "nosniff", "referrer-policy": "no-referrer"}
LINKS = """<nav><a href="/docs">HTTP</a> · <a href="/openapi.json">OpenAPI</a> ·
<a href="/docs/topics">Topics on the bus</a> · <a href="/asyncapi.json">AsyncAPI</a></nav>"""
PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Penstock: {title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="/docs/swagger-ui.css"><style>
body {{ margin: 0; font-family: sans-serif }} nav, main {{ margin: 1rem 2rem }} main {{ overflow-x: auto }}
td, th {{ padding: .3rem .8rem .3rem 0; text-align: left; vertical-align: top }}
</style></head><body>{links}{body}</body></html>"""
TRY = '<div id="ui"></div><script src="/docs/swagger-ui-bundle.js"></script><script src="/docs/start.js"></script>'
START = """SwaggerUIBundle({
  url: "/openapi.json", dom_id: "#ui", deepLinking: true, persistAuthorization: false, validatorUrl: null
});
"""
COLUMNS = ("Topic", "Kind", "Message", "From", "To", "What it says")


def reading_routes() -> list[BaseRoute]:
    """The pages and documents; none needs a key, for none says anything of this installation."""

    async def docs(_: Request) -> Response:
        return HTMLResponse(PAGE.format(title="HTTP", links=LINKS, body=TRY), headers=HEADERS)

    async def start(_: Request) -> Response:
        return Response(START, media_type="text/javascript", headers=HEADERS)

    async def asset(request: Request) -> Response:
        name = request.url.path.rpartition("/")[2]
        return FileResponse(asset_folder() / name, media_type=ASSETS[name], headers=HEADERS)

    async def topics(_: Request) -> Response:
        return HTMLResponse(topics_page(), headers=HEADERS)

    async def asyncapi(_: Request) -> Response:
        return Response(asyncapi_json(), media_type="application/json")

    return [
        Route("/docs", docs),
        Route("/docs/start.js", start),
        *(Route(f"/docs/{name}", asset) for name in ASSETS),
        Route("/docs/topics", topics),
        Route("/asyncapi.json", asyncapi),
    ]


@cache
def asset_folder() -> Path:
    """Where the files of Swagger UI lie; the package that brings them is not loaded for that."""
    spec = find_spec("fastapi_offline")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "static"


@cache
def asyncapi_json() -> bytes:
    """The AsyncAPI document; made at the first question."""
    return msgspec.json.encode(document(PLATFORM, version("penstock-common")))


@cache
def topics_page() -> str:
    """The topics as a table."""
    head = "".join(f"<th>{name}</th>" for name in COLUMNS)
    rows = "".join(f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>" for row in topic_rows())
    table = f"<main><h1>Topics on the bus</h1><table><tr>{head}</tr>{rows}</table></main>"
    return PAGE.format(title="Topics on the bus", links=LINKS, body=table)


def topic_rows() -> Iterator[tuple[str, ...]]:
    """Subject, kind, message, sender, receivers and summary of each topic."""
    for topic in PLATFORM.topics:
        receivers: list[Any] = [c.service for c in PLATFORM.consumers if c.topic.subject == topic.subject]
        summary = (topic.contract.__doc__ or "").strip().splitlines()[0]
        sender, receiver = ("", topic.owner) if topic.reply else (topic.owner, ", ".join(dict.fromkeys(receivers)))
        yield topic.subject, topic.kind.value, topic.contract.__name__, sender, receiver, summary
