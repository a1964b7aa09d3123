"""Two thousand streams at once on the smallest machine: all held, each word arrives, each token is charged once."""

import asyncio
import resource
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import uvloop

from measuring.processes import pss_mb
from tests.e2e.conftest import bus_options
from tests.support.crowd import PROMPT_TOKENS, Crowd, SlowEngine, words
from tests.support.platform import Platform, running

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("heavy")]

STREAMS, RAMP_SECONDS, HELD_SECONDS = 2000, 10, 20
GAP_SECONDS = 1.0
MODEL = "slow"
TOKENS = RAMP_SECONDS + HELD_SECONDS + 5
SLOTS = {"PENSTOCK_INFERENCE_SLOTS": str(STREAMS), "PENSTOCK_INFERENCE_RESERVED": "0"}
API_MB = 400
"""Ten thousand streams may take 1.5 GiB; a fifth of them this much, the process itself included."""


@dataclass
class Held:
    """What came of it."""

    engine: SlowEngine
    crowd: Crowd
    memory: dict[str, float]
    """While all streams were open, in MB by role."""

    @property
    def seconds(self) -> float:
        """For how long all streams were open."""
        return self.engine.first_end - self.engine.most_since


@pytest.fixture(params=["nats", "rabbitmq"])
def platform(request: pytest.FixtureRequest, reachable_folder: Path) -> Iterator[Platform]:
    """A platform with a slot for each stream."""
    folder = reachable_folder / f"streams-{request.param}"
    with bus_options(request.param) as options, running(Platform(folder, options, SLOTS)) as made:
        yield made


@pytest.fixture
def files() -> Iterator[None]:
    """As many open files as the system lets this process have: two for each stream are needed here."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert hard == resource.RLIM_INFINITY or hard > 3 * STREAMS, f"only {hard} open files are allowed: ulimit -Hn 8192"
    resource.setrlimit(resource.RLIMIT_NOFILE, (3 * STREAMS, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def held(platform: Platform) -> Held:
    """Add the engine as a model, and hear every stream to its end."""
    async with SlowEngine(TOKENS, GAP_SECONDS).serving() as engine:
        await asyncio.to_thread(add_model, platform, engine.url)
        listed = await asyncio.to_thread(platform.cli_json, "status")
        crowd = Crowd(platform.info["base_url"], platform.info["api_key"], MODEL)
        asked = asyncio.create_task(crowd.ask(STREAMS, RAMP_SECONDS))
        await asyncio.wait([asked], timeout=RAMP_SECONDS + HELD_SECONDS / 2)
        memory = await asyncio.to_thread(pss_mb, listed["processes"])
        await asked
        return Held(engine, crowd, memory)


def add_model(platform: Platform, url: str) -> None:
    """Serve the engine's model, and wait until it is known."""
    priced = ("--price-in", "0.000001", "--price-out", "0.000002")
    platform.cli("models", "add", MODEL, "--engine", "openai-compatible", "--url", url, *priced)
    client, deadline = platform.client(), time.monotonic() + 10
    while MODEL not in {model.id for model in client.models.list()}:
        assert time.monotonic() < deadline, "the model is not served"
        time.sleep(0.1)


@pytest.mark.usefixtures("files")
def test_two_thousand_streams_are_held(platform: Platform) -> None:
    """All are open at once for twenty seconds; texts, engine's calls, ledger and memory are as they should be."""
    found = uvloop.run(held(platform))
    crowd, engine = found.crowd, found.engine
    assert crowd.failures == []
    assert set(crowd.heard) == {"".join(words(TOKENS))}
    assert len(crowd.heard) == engine.begun == engine.finished == engine.most == STREAMS
    assert found.seconds >= HELD_SECONDS
    charged = wait_for_ledger(platform)
    assert (charged["requests"], charged["total_tokens"]) == (STREAMS, STREAMS * (TOKENS + PROMPT_TOKENS))
    platform.cli("reconcile")
    print(f"held for {found.seconds:.0f} s, MB:", {role: round(mb) for role, mb in found.memory.items()})
    assert found.memory["api"] < API_MB


def wait_for_ledger(platform: Platform, seconds: float = 30.0) -> dict[str, int]:
    """What the ledger holds once it has all streams, or after so long."""
    deadline = time.monotonic() + seconds
    while True:
        usage: dict[str, int] = platform.cli_json("usage")
        if usage["requests"] >= STREAMS or time.monotonic() > deadline:
            return usage
        time.sleep(0.5)
