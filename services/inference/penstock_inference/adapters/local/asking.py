"""Small questions to whatever listens at an address."""

import asyncio
from dataclasses import dataclass

import aiohttp

from penstock_inference.adapters.engines.http.resolver import GuardedResolver

CONNECT_SECONDS = 0.5
ANSWER_SECONDS = 1.5
MOST_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Reply:
    """What was answered."""

    status: int
    body: bytes


class Unanswered(Exception):
    """Nothing that can be read came back. `state` is that of a finding."""

    def __init__(self, state: str, reason: str) -> None:
        super().__init__(reason)
        self.state, self.reason = state, reason


def make_session() -> aiohttp.ClientSession:
    """A session for a few questions: no cookies, proxies or kept connections. To be made inside of a running loop."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(force_close=True, resolver=GuardedResolver()),
        timeout=aiohttp.ClientTimeout(total=None, connect=CONNECT_SECONDS),
        cookie_jar=aiohttp.DummyCookieJar(),
        # Nothing is unpacked, so that no small answer can become a large one.
        headers={"User-Agent": "penstock", "Accept-Encoding": "identity"},
        auto_decompress=False,
        trust_env=False,
    )


async def ask(session: aiohttp.ClientSession, url: str, headers: dict[str, str] | None = None) -> Reply:
    """The answer to a GET, in 1.5 s and 1 MiB at most. Raises Unanswered."""
    try:
        async with (
            asyncio.timeout(ANSWER_SECONDS),
            session.get(url, headers=headers, allow_redirects=False) as response,
        ):
            return Reply(response.status, await _bounded(response.content))
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
        raise Unanswered("absent", "nothing listens there") from error
    except TimeoutError as error:
        raise Unanswered("silent", f"it takes connections but did not answer within {ANSWER_SECONDS:g} s") from error
    except aiohttp.ClientError as error:
        raise Unanswered("stranger", "what listens there does not speak HTTP") from error


async def _bounded(content: aiohttp.StreamReader) -> bytes:
    body = bytearray()
    while data := await content.readany():
        body += data
        if len(body) > MOST_BYTES:
            raise Unanswered("stranger", f"it answered with more than {MOST_BYTES >> 20} MiB")
    return bytes(body)
