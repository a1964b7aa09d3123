"""Small HTTP questions to our own services on the loopback address."""

import asyncio
import json
import urllib.error
import urllib.request
from typing import Any

TIMEOUT = 5.0  # seconds

# Proxies are for the world outside.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


async def is_ok(url: str) -> bool:
    """Whether the address answers with a success."""
    return await asyncio.to_thread(_is_ok, url)


async def get_json(url: str, key: str) -> Any:
    """The decoded answer, asked for with an API key; raises OSError or ValueError where there is none."""
    return await asyncio.to_thread(_get_json, url, key)


def _is_ok(url: str) -> bool:
    try:
        with _opener.open(url, timeout=TIMEOUT) as answer:
            return bool(answer.status < 300)
    except (OSError, ValueError, urllib.error.HTTPError):
        return False


def _get_json(url: str, key: str) -> Any:
    request = urllib.request.Request(url, headers={"authorization": f"Bearer {key}"})  # noqa: S310 (our own)
    with _opener.open(request, timeout=TIMEOUT) as answer:
        return json.loads(answer.read())
