"""The bus is restarted, or forgets everything, under live streams: every client goes on, nothing is done twice."""

import asyncio
import json
import os
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import Start
from tests.e2e.conftest import bus_options
from tests.support.emptied import delete_everything, renew_virtual_host
from tests.support.keeper import virtual_host
from tests.support.platform import Platform, running
from tests.support.servers import Server, rabbitmq_server

pytestmark = [pytest.mark.e2e, pytest.mark.chaos, pytest.mark.xdist_group("e2e")]

STREAMS, QUESTIONS = 20, 4
WORD, WORDS, LEAST_TOKENS = "water", 150, 150  # eight seconds of sim/slow and more
CHAT = "/v1/chat/completions"
Disaster = Callable[[Platform], Awaitable[None]]


@dataclass
class Stream:
    """What one client read."""

    request_id: str = ""
    events: list[tuple[str, str]] = field(default_factory=list)
    """Ids and data."""
    began: float = field(default_factory=time.monotonic)
    longest_pause: float = 0.0
    """Seconds without an event, those until the first one included."""

    @property
    def text(self) -> str:
        """All deltas."""
        chunks = [json.loads(data) for _, data in self.events if data != "[DONE]"]
        return "".join(c["choices"][0]["delta"].get("content") or "" for c in chunks if c["choices"])

    async def read(self, lines: httpx.Response) -> "Stream":
        """Until the response ends."""
        last, id_ = self.began, ""
        async for line in lines.aiter_lines():
            name, _, value = line.partition(": ")
            if name == "id":
                id_ = value
            elif name == "data":
                self.events.append((id_, value))
                self.longest_pause = max(self.longest_pause, time.monotonic() - last)
                last = time.monotonic()
        return self


@dataclass
class Client:
    """A user of the platform."""

    http: httpx.AsyncClient

    async def ask(self, question: int) -> tuple[str, int]:
        """A whole answer's text, and its tokens."""
        answer = await self.http.post(CHAT, json=body(question))
        answer.raise_for_status()
        completion = answer.json()
        return completion["choices"][0]["message"]["content"], completion["usage"]["completion_tokens"]

    async def request_id(self, question: int) -> str:
        """Of an answer that came at once."""
        answer = await self.http.post(CHAT, json={**body(question), "model": "sim/fast"})
        answer.raise_for_status()
        return answer.headers["x-request-id"]

    async def stream(self, question: int) -> Stream:
        """A streamed answer, on one connection."""
        stream = Stream()
        async with self.http.stream("POST", CHAT, json={**body(question), "stream": True}) as response:
            assert response.status_code == 200, await response.aread()
            stream.request_id = response.headers["x-request-id"]
            return await stream.read(response)

    async def resume(self, request_id: str, after: str) -> Stream:
        """What follows an event."""
        headers = {"last-event-id": after}
        async with self.http.stream("GET", f"/api/v1/inference/{request_id}/stream", headers=headers) as response:
            assert response.status_code == 200, await response.aread()
            return await Stream(request_id).read(response)

    async def until_answered(self) -> tuple[float, float]:
        """Seconds until a new request is answered, and those of the slowest refusal until then."""
        began, slowest = time.monotonic(), 0.0
        while True:
            asked = time.monotonic()
            answer = await self.http.post(CHAT, json={**body(0), "model": "sim/fast"})
            if answer.status_code == 200:
                return time.monotonic() - began, slowest
            assert answer.status_code == 503
            slowest = max(slowest, time.monotonic() - asked)
            await asyncio.sleep(0.1)


def body(question: int) -> dict[str, Any]:
    """A request with a long answer."""
    story = " ".join(f"{WORD}," if n % 7 == question else WORD for n in range(WORDS))
    return {"model": "sim/slow", "messages": [{"role": "user", "content": f"A story.\nsim: say {story}."}]}


@asynccontextmanager
async def client_of(platform: Platform) -> Any:
    """With room for many connections."""
    headers = {"authorization": f"Bearer {platform.info['api_key']}"}
    limits = httpx.Limits(max_connections=100)
    async with httpx.AsyncClient(
        base_url=platform.info["base_url"], headers=headers, timeout=90, limits=limits
    ) as http:
        yield Client(http)


def engine_calls(platform: Platform) -> Counter[str]:
    """How often the engine was called, by request."""
    lines = [line for path in (platform.data / "sim").glob("*.jsonl") for line in path.read_text().splitlines()]
    said = [json.loads(line) for line in lines]
    return Counter(line["request_id"] for line in said if line["event"] == "open")


async def survive(platform: Platform, *disasters: Disaster) -> None:
    """Streams through one disaster after the other; prints the figures."""
    async with client_of(platform) as client:
        wanted = await asyncio.gather(*(client.ask(n) for n in range(QUESTIONS)))
        for disaster in disasters:
            print(f"\n{platform.data.name}, {disaster.__name__}: {await survived(platform, client, wanted, disaster)}")


async def survived(platform: Platform, client: Client, wanted: Sequence[tuple[str, int]], disaster: Disaster) -> str:
    """All streams, whole, once, and charged once; returns the figures."""
    streaming = [asyncio.create_task(client.stream(n % QUESTIONS)) for n in range(STREAMS)]
    await asyncio.sleep(3)
    await disaster(platform)
    again, refusal = await client.until_answered()
    streams = await asyncio.gather(*streaming)
    for number, stream in enumerate(streams):
        assert stream.text == wanted[number % QUESTIONS][0], stream.request_id
        assert [data for _, data in stream.events].count("[DONE]") == 1
        assert "error" not in stream.events[-2][1]
    await asyncio.gather(*(check_resume(client, stream) for stream in streams[:5]))
    assert refusal < 2.2
    check_books(platform, {stream.request_id: wanted[n % QUESTIONS][1] for n, stream in enumerate(streams)})
    pause = max(stream.longest_pause for stream in streams)
    return f"answers again after {again:.1f} s, longest pause of {STREAMS} streams {pause:.1f} s"


async def check_resume(client: Client, stream: Stream) -> None:
    """From any place that the client read, the rest, once."""
    at = len(stream.events) // 3
    rest = await client.resume(stream.request_id, stream.events[at][0])
    whole = Stream(stream.request_id, [*stream.events[: at + 1], *rest.events])
    assert whole.text == stream.text
    assert rest.events[-1][1] == "[DONE]"


def check_books(platform: Platform, tokens: Mapping[str, int]) -> None:
    """Nothing was generated or charged twice, and the four records agree. `tokens` is by request."""
    assert min(tokens.values()) >= LEAST_TOKENS
    report = platform.cli_json("reconcile", "--settle", "40", check=False)
    assert report["clean"], report["differences"][:10]
    calls = engine_calls(platform)
    assert {request_id: calls[request_id] for request_id in tokens} == dict.fromkeys(tokens, 1)
    charged = {request_id: platform.usage(request_id) for request_id in tokens}
    assert {usage["requests"] for usage in charged.values()} == {1}
    assert {request_id: usage["completion_tokens"] for request_id, usage in charged.items()} == tokens


async def nats_restarted(platform: Platform) -> None:
    """kill -9; the supervisor starts it again."""
    platform.kill("nats")


async def nats_emptied(platform: Platform) -> None:
    """kill -9, and no store is there when it starts again."""
    (platform.data / "nats" / "jetstream").rename(platform.data / "lost")
    platform.kill("nats")


async def streams_deleted(platform: Platform) -> None:
    """By somebody, under live connections; or RabbitMQ's queues."""
    await delete_everything(platform.info["bus"])


async def virtual_host_renewed(platform: Platform) -> None:
    """All of it is gone, and every connection is closed."""
    await asyncio.to_thread(renew_virtual_host, platform.info["bus"])


@contextmanager
def platform_on(folder: Path, name: str, *options: str) -> Iterator[Platform]:
    """A platform of this test's own."""
    with running(Platform(folder / f"{name}-{time.time_ns()}", options)) as platform:
        yield platform


async def test_streams_survive_nats(reachable_folder: Path) -> None:
    """Restarted, and emptied in two ways, each in the middle of 20 streams."""
    with platform_on(reachable_folder, "nats") as platform:
        await survive(platform, nats_restarted)
        check_restored(platform, 0)
        await survive(platform, nats_emptied, streams_deleted)
        check_restored(platform, 2)


async def test_streams_survive_an_emptied_rabbitmq(reachable_folder: Path) -> None:
    """Its queues, then its virtual host, each in the middle of 20 streams."""
    with virtual_host() as url, platform_on(reachable_folder, "rabbitmq", "--bus", url) as platform:
        await survive(platform, streams_deleted, virtual_host_renewed)
        check_restored(platform, 2)


async def test_streams_survive_a_restart_of_rabbitmq(reachable_folder: Path, private_server: Start) -> None:
    """It stops in order and takes its time to start; generations end meanwhile, and are told afterwards."""
    server = await asyncio.to_thread(private_server, rabbitmq_server())

    async def restarted(_: Platform) -> None:
        await asyncio.to_thread(restart, server)

    with platform_on(reachable_folder, "rabbitmq-restarted", "--bus", server.url) as platform:
        await survive(platform, restarted)
        check_restored(platform, 0)


@pytest.fixture(scope="module", params=["nats", "rabbitmq"])
def platform(request: pytest.FixtureRequest, reachable_folder: Path) -> Iterator[Platform]:
    """A platform of these tests' own, on each bus."""
    with bus_options(request.param) as options, platform_on(reachable_folder, request.param, *options) as made:
        yield made


async def test_what_only_api_still_knows_is_answered(platform: Platform) -> None:
    """The bus forgets requests together with the process that works on them, or before any process began them."""
    async with client_of(platform) as client:
        text, tokens = await client.ask(0)
        for begun in (True, False):
            streams = await bereft(platform, client, begun=begun)
            assert [stream.text for stream in streams] == [text] * 5
            pause = max(stream.longest_pause for stream in streams)
            print(f"\n{platform.data.name}: {'begun' if begun else 'accepted'} requests go on after {pause:.1f} s")
        check_books(platform, {stream.request_id: tokens for stream in streams})


async def test_a_bus_is_made_anew_from_the_outboxes(platform: Platform) -> None:
    """What billing had not handled when the bus lost everything is counted, published again, and charged once."""
    billing = platform.pids("billing")[0]
    os.kill(billing, signal.SIGSTOP)
    try:
        async with client_of(platform) as client:
            asked = [await client.request_id(0) for _ in range(5)]
            await asyncio.sleep(2)  # the relay has published them
            await delete_everything(platform.info["bus"])
            counted = platform.cli_json("bus", "rebuild", "--dry-run")
            assert counted["consumers"]["billing-on-generation-completed"] >= len(asked)
            assert counted["published"] == 0
            done = platform.cli_json("bus", "rebuild")
            assert done["published"] >= len(asked)
    finally:
        os.kill(billing, signal.SIGCONT)
    report = platform.cli_json("reconcile", "--settle", "60", check=False)
    assert report["clean"], report["differences"][:10]
    assert [platform.usage(request_id)["requests"] for request_id in asked] == [1] * len(asked)
    await nothing_owed(platform)
    acts = platform.cli_json("audit", "log", "--act", "bus.rebuild")["entries"]
    assert {act["phase"] for act in acts} == {"begun", "done"}


async def nothing_owed(platform: Platform, within: float = 30.0) -> None:
    """Wait until every consumer has handled all that was published."""
    deadline = time.monotonic() + within
    while (counted := platform.cli_json("bus", "rebuild", "--dry-run"))["owed"]:
        assert time.monotonic() < deadline, counted
        await asyncio.sleep(0.5)


async def bereft(platform: Platform, client: Client, *, begun: bool) -> list[Stream]:
    """Five answers, asked for before the death of the process that gives them, or right after it."""
    if not begun:
        platform.kill("inference")  # it takes a while to be back
    streaming = [asyncio.create_task(client.stream(0)) for _ in range(5)]
    await asyncio.sleep(3 if begun else 0.3)
    if begun:
        platform.kill("inference")
    await delete_everything(platform.info["bus"])
    return await asyncio.gather(*streaming)


def restart(server: Server) -> None:
    """In order."""
    server.stop()
    server.start()


def check_restored(platform: Platform, least: int) -> None:
    """`penstock status` tells how often the bus was made anew; more often where it was looked at halfway."""
    restored = platform.cli_json("status")["bus_restored"] or {"times": 0}
    assert bool(restored["times"]) == bool(least)
    assert restored["times"] >= least
    assert ("made anew" in platform.cli("status").stdout) == bool(least)
