"""Knowledge bases over HTTP: api and indexer on one bus."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx
import pytest

from penstock_api.app import build
from penstock_common.contracts.catalogue import CatalogueChanged, CatalogueModel, Price
from tests.support.api import ADMIN, USER, bearer, client_of, settings
from tests.support.databases import Databases
from tests.support.fake_embeddings import MODEL
from tests.support.indexing import House, eventually

pytestmark = pytest.mark.integration

BASES = "/api/v1/knowledge-bases"
PRICE = Price(version=1, currency="USD", input_nano=1, output_nano=2, cached_input_nano=1)
CATALOGUE = CatalogueChanged(
    version=3,
    models=[
        CatalogueModel(MODEL, "local", "local", PRICE, capabilities=["embeddings"]),
        CatalogueModel("sim/fast", "sim", "sim", PRICE, capabilities=["chat"]),
    ],
)


@pytest.fixture
async def client(house: House, platform_databases: Databases) -> AsyncIterator[httpx.AsyncClient]:
    """A client with the user's key; an indexer runs beside."""
    api = build(settings(platform_databases.services["api"], house.bus_url, house.folder / "keyring"))
    await api.connect()
    await api.start()
    api.catalogue.take(CATALOGUE)
    async with house.indexer(), client_of(api) as client:
        client.headers.update(bearer(USER))
        client.timeout = httpx.Timeout(30)
        yield client
    await api.stop()


async def make(client: httpx.AsyncClient, **wanted: Any) -> str:
    """A new base's path."""
    response = await client.post(BASES, json={"name": "handbook"} | wanted)
    assert response.status_code == 201, response.text
    return f"{BASES}/{response.json()['id']}"


async def indexed(client: httpx.AsyncClient, base: str, count: int) -> list[dict[str, Any]]:
    """The documents once all are at an end."""
    found: list[dict[str, Any]] = []

    async def are_done() -> bool:
        found[:] = (await client.get(f"{base}/documents")).json()["documents"]
        return len(found) == count and all(d["state"] in ("indexed", "failed") for d in found)

    await eventually(are_done)
    return found


def code_of(response: httpx.Response) -> tuple[int, str]:
    """Status and code of a problem."""
    return response.status_code, response.json()["code"]


async def test_the_whole_way(client: httpx.AsyncClient) -> None:
    """Make, upload both ways, list, search, remove."""
    base = await make(client)
    raw = await client.post(f"{base}/documents", params={"name": "a/b\\pipe.md"}, content=b"# Pipes\n\nWater flows.")
    assert raw.status_code == 202, raw.text
    files = [("files", ("bread.html", b"<html><p>Yeast &amp; flour</p></html>")), ("files", ("n.txt", b"Nothing."))]
    form = await client.post(f"{base}/documents", files=files)
    assert form.status_code == 202, form.text
    shown = await indexed(client, base, 3)
    assert [(d["name"], d["media_type"], d["state"]) for d in shown] == [
        ("pipe.md", "text/markdown", "indexed"),
        ("bread.html", "text/html", "indexed"),
        ("n.txt", "text/plain", "indexed"),
    ]
    found = (await client.post(f"{base}/search", json={"query": "yeast flour"})).json()["chunks"]
    assert (found[0]["name"], found[0]["text"]) == ("bread.html", "Yeast & flour")
    assert (await client.get(base)).json()["chunks"] == 3
    document = f"{base}/documents/{found[0]['document_id']}"
    assert (await client.delete(document)).status_code == 202

    async def is_gone() -> bool:
        return (await client.get(document)).status_code == 404

    await eventually(is_gone)
    found = (await client.post(f"{base}/search", json={"query": "yeast flour"})).json()["chunks"]
    assert "bread.html" not in {chunk["name"] for chunk in found}
    assert (await client.delete(base)).status_code == 202


async def test_failed_documents_can_be_tried_again(client: httpx.AsyncClient, house: House) -> None:
    """Nothing else can."""
    base = await make(client)
    await client.post(f"{base}/documents", params={"name": "x.pdf"}, content=b"%PDF-1.7 and rubbish")
    (shown,) = await indexed(client, base, 1)
    assert (shown["state"], shown["error_code"]) == ("failed", "indexer.document_unreadable")
    assert shown["error"].endswith("it can't be read as a PDF.")
    path = f"{base}/documents/{shown['id']}"
    again = await client.post(f"{path}/retry")
    assert again.status_code == 202, again.text

    async def was_tried() -> bool:
        now = (await client.get(path)).json()
        return bool(now["state"] == "failed" and now["version"] > shown["version"] + 1)

    await eventually(was_tried)
    await client.post(f"{base}/documents", params={"name": "y.txt"}, content=b"fine")
    fine = (await indexed(client, base, 2))[1]
    assert code_of(await client.post(f"{base}/documents/{fine['id']}/retry")) == (409, "api.document_not_failed")


async def test_what_can_not_be_taken_is_refused(client: httpx.AsyncClient) -> None:
    """With a code; nothing of it is kept."""
    base = await make(client)
    for name, content, code in (
        ("x.txt", b"  \n", "api.document_empty"),
        ("x.docx", b"PK\x03\x04\0\0\0", "api.document_type_unsupported"),
    ):
        assert code_of(await client.post(f"{base}/documents", params={"name": name}, content=content)) == (422, code)
    large = await client.post(f"{base}/documents", content=b"x" * 6_000_001)
    assert code_of(large) == (413, "api.body_too_large")
    empty_form = await client.post(
        f"{base}/documents", content=b"rubbish", headers={"content-type": "multipart/form-data"}
    )
    assert code_of(empty_form) == (422, "api.invalid_request")
    torn = await client.post(
        f"{base}/documents", content=b"--x\r\nrubbish", headers={"content-type": "multipart/form-data; boundary=x"}
    )
    assert code_of(torn) == (422, "api.invalid_request")
    assert (await client.get(f"{base}/documents")).json()["documents"] == []


async def test_bases_are_checked(client: httpx.AsyncClient) -> None:
    """Model, sizes and names."""
    for wanted, status, code in (
        ({"model": "no/such"}, 404, "api.model_not_found"),
        ({"model": "sim/fast"}, 422, "api.model_no_embedder"),
        ({"chunk_characters": 300, "overlap_characters": 200}, 422, "api.invalid_request"),
        ({"chunk_characters": 10**9}, 422, "api.invalid_request"),
        ({"name": ""}, 422, "api.invalid_request"),
    ):
        assert code_of(await client.post(BASES, json={"name": "x"} | wanted)) == (status, code)
    base = await make(client)
    questions: tuple[dict[str, Any], ...] = (
        {"query": ""},
        {"query": "x" * 8001},
        {"query": "x", "limit": 51},
        {"query": "x", "mode": "best"},
    )
    for wanted in questions:
        assert code_of(await client.post(f"{base}/search", json=wanted)) == (422, "api.invalid_request")


async def test_strangers_find_nothing(client: httpx.AsyncClient) -> None:
    """Unknown ids are 404 on every route; a key without the scope is 403."""
    missing, document = f"{BASES}/{uuid4()}", f"documents/{uuid4()}"
    calls = [("GET", missing), ("DELETE", missing), ("GET", f"{missing}/documents")]
    assert {code_of(await client.request(*call)) for call in calls} == {(404, "api.knowledge_base_not_found")}
    assert code_of(await client.post(f"{missing}/documents", content=b"x")) == (404, "api.knowledge_base_not_found")
    assert code_of(await client.post(f"{missing}/search", json={"query": "x"})) == (404, "api.knowledge_base_not_found")
    base = await make(client)
    for method, path in (("GET", document), ("DELETE", document), ("POST", f"{document}/retry")):
        assert code_of(await client.request(method, f"{base}/{path}")) == (404, "api.document_not_found")
    made = await client.post("/api/v1/keys", json={"scopes": ["chat"]}, headers=bearer(ADMIN))
    assert code_of(await client.get(BASES, headers=bearer(made.json()["key"]))) == (403, "api.scope_missing")
