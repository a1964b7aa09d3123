"""What is read of a platform by people and programs, without a key and without the internet."""

import json
import re
from html.parser import HTMLParser

import pytest
from starlette.testclient import TestClient

from penstock_api.app import build
from penstock_common.topology import PLATFORM
from tests.contract import make_asyncapi, make_openapi
from tests.support.api import settings

PAGES = ("/docs", "/docs/topics")


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> TestClient:
    """A process that could not reach anything yet."""
    app = build(settings(make_openapi.DATABASE, make_openapi.BUS, tmp_path_factory.mktemp("keyring")))
    return TestClient(app.asgi)


class Links(HTMLParser):
    """The addresses that a page names, and whether it holds a script of its own."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.inline = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.found += [value for name in ("src", "href") if (value := given.get(name))]
        self.inline |= tag == "script" and "src" not in given


@pytest.mark.parametrize("page", PAGES)
def test_a_page_needs_nothing_from_elsewhere(client: TestClient, page: str) -> None:
    """Each address that it names is on this platform and answers; its policy allows no other."""
    answer = client.get(page)
    links = Links(answer.text)
    assert answer.status_code == 200
    assert links.found
    assert not links.inline
    for link in links.found:
        assert re.match(r"/[a-z]", link), link
        assert client.get(link).status_code == 200, link
    policy = dict(part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["connect-src"] == "'self'"


def test_scripts_are_scripts(client: TestClient) -> None:
    """A browser that must not guess runs nothing else."""
    for name in ("start.js", "swagger-ui-bundle.js"):
        answer = client.get(f"/docs/{name}")
        assert answer.headers["content-type"].startswith("text/javascript")
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert client.get("/docs/swagger-ui.css").headers["content-type"].startswith("text/css")
    assert client.get("/docs/redoc.standalone.js").status_code == 404


def test_the_page_shows_the_served_document(client: TestClient) -> None:
    """It asks for the document that programs get."""
    assert 'url: "/openapi.json"' in client.get("/docs/start.js").text
    assert client.get("/openapi.json").json()["openapi"].startswith("3.1.")


def test_asyncapi_is_served_as_it_is_written(client: TestClient) -> None:
    """The same document as docs/asyncapi.json."""
    answer = client.get("/asyncapi.json")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == json.loads(make_asyncapi.text())


def test_every_topic_is_listed(client: TestClient) -> None:
    """With its message and who is concerned."""
    page = client.get("/docs/topics").text
    for topic in PLATFORM.topics:
        assert f"<td>{topic.subject}</td>" in page
    for consumer in PLATFORM.consumers:
        (row,) = re.findall(rf"<tr><td>{re.escape(consumer.topic.subject)}</td>.*?</tr>", page)
        assert consumer.service in row
