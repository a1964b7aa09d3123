"""No client decides how much a service counts."""

import httpx
import pytest

from tests.support.platform import Platform

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e")]

STRANGE = 40


def series(platform: Platform) -> set[str]:
    """The names of api's time series, labels included; the process's own left out."""
    page = httpx.get(f"{platform.info['base_url']}/metrics", timeout=10).text
    return {line.rpartition(" ")[0] for line in page.splitlines() if line.startswith("penstock_")}


def strange(client: httpx.Client, name: str) -> None:
    """Ask for a model, a route and a method that are not there, and with a key that is none."""
    body = {"model": name, "messages": [{"role": "user", "content": name}]}
    client.post("/v1/chat/completions", json=body)
    client.get(f"/v1/{name}")
    client.get(f"/v1/models/{name}")
    client.request("PROPFIND", "/v1/models")
    client.post("/v1/chat/completions", json=body, headers={"authorization": f"Bearer {name}"})


def test_strange_requests_make_no_series(platform: Platform) -> None:
    """Whatever is asked for, a second client that asks for other strange things adds nothing."""
    headers = {"authorization": f"Bearer {platform.info['api_key']}"}
    with httpx.Client(base_url=platform.info["base_url"], headers=headers, timeout=10) as client:
        strange(client, "first-of-all")
        before = series(platform)
        for number in range(STRANGE):
            strange(client, f"strange-{number}")
    assert series(platform) == before
    for known in (
        'method="GET",route="/v1/models/{model}"',
        'method="GET",route="-"',
        'method="_OTHER",route="/v1/models"',
    ):
        assert any(known in name for name in before), known
    assert not any("strange-" in name for name in before)
