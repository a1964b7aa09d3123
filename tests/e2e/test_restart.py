"""Several processes on one port; each of them exchanged while clients ask, and no client notices."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import openai
import pytest

from tests.e2e.conftest import bus_options
from tests.support.load import Crowd
from tests.support.platform import Platform, running

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("heavy")]

SERVICES = {"api", "inference", "billing", "worker", "scheduler", "indexer"}
TWO = {"api", "inference"}
WORDS = " ".join(f"word-{number}" for number in range(60))
RESTART_SECONDS = 150.0


@pytest.fixture(scope="module", params=["nats", "rabbitmq"])
def twofold(request: pytest.FixtureRequest, reachable_folder: Path) -> Iterator[Platform]:
    """A platform with two api and two inference processes."""
    data = reachable_folder / f"twofold-{request.param}"
    environment = {"PENSTOCK_PROCESSES": ",".join(f"{service}=2" for service in sorted(TWO))}
    with bus_options(request.param) as options, running(Platform(data, options, environment)) as platform:
        yield platform


def started(platform: Platform) -> dict[str, set[int]]:
    """The processes of each service that were started for it, without what these started."""
    listed: dict[str, list[int]] = platform.cli_json("status")["processes"]
    return {service: set(listed[service][: 2 if service in TWO else 1]) for service in SERVICES}


def answered_by(platform: Platform) -> dict[str, float]:
    """Chat requests by the api process that answered them."""
    pages = {name: httpx.get(url, timeout=10).text for name, url in platform.info["metrics"].items() if "api" in name}
    return {
        name: sum(float(line.split()[-1]) for line in page.splitlines() if line.startswith("penstock_chat_requests_t"))
        for name, page in pages.items()
    }


def ask_by_new_connection(platform: Platform) -> int:
    headers = {"authorization": f"Bearer {platform.info['api_key']}"}
    body = {"model": "sim/fast", "messages": [{"role": "user", "content": "hello"}]}
    url = f"{platform.info['base_url']}/v1/chat/completions"
    return httpx.post(url, json=body, headers=headers, timeout=30).status_code


def test_both_processes_take_requests_from_one_port(twofold: Platform) -> None:
    """Each is named, tells its own metrics, and does a part of the work."""
    assert all(len(pids) == (2 if service in TWO else 1) for service, pids in started(twofold).items())
    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda _: ask_by_new_connection(twofold), range(64)))
    assert statuses == [200] * 64
    shares = answered_by(twofold)
    assert set(shares) == {"api", "api.2"}
    assert min(shares.values()) > 0
    assert "api.2" in twofold.cli("logs", "api", "--since", "1h").stdout
    assert twofold.cli_json("doctor")["healthy"]


def test_a_killed_process_leaves_its_port_to_the_other(twofold: Platform) -> None:
    """Connections that begin afterwards are all served, while it is started again."""
    former = started(twofold)["api"]
    killed = twofold.kill("api")
    assert [ask_by_new_connection(twofold) for _ in range(10)] == [200] * 10
    until(lambda: killed not in (now := started(twofold)["api"]) and len(now) == 2, 60)
    assert former - {killed} <= started(twofold)["api"]


def test_a_rolling_restart_fails_no_request(twofold: Platform) -> None:
    """Each process is another one afterwards; requests on kept connections and long streams came to their ends."""
    former = started(twofold)
    with Crowd(twofold) as crowd, Streams(twofold) as streams:
        until(lambda: len(crowd.told.answered) > 20 and streams.whole > 0, 60)
        restart(twofold)
        before_end = len(crowd.told.answered), streams.whole
        until(lambda: len(crowd.told.answered) > before_end[0] + 20 and streams.whole > before_end[1], 60)
    now = started(twofold)
    assert all(now[service].isdisjoint(former[service]) for service in SERVICES)
    assert {service: len(pids) for service, pids in now.items()} == {s: len(pids) for s, pids in former.items()}
    assert (crowd.told.failed, crowd.told.broken, streams.failures) == ({}, 0, [])
    report = twofold.cli_json("reconcile", "--settle", "40", check=False)
    assert report["clean"], report["differences"][:10]


def restart(platform: Platform) -> None:
    """By command, or by the signal where the bus is not embedded: both ways are asked once."""
    if "nats" in platform.info["processes"]:
        assert platform.cli("restart").stdout.splitlines()[-1].startswith("restarted: ")
        return
    os.kill(platform.info["processes"]["supervisor"][0], signal.SIGHUP)
    until(lambda: "restarted: " in platform.log_tail(10_000), RESTART_SECONDS)


def until(check: Callable[[], bool], seconds: float) -> None:
    """Wait for something to become true."""
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)


class Streams:
    """The official client, reading long streams one after the other in several threads."""

    def __init__(self, platform: Platform) -> None:
        self.whole = 0
        self.failures: list[str] = []
        self._platform, self._over = platform, threading.Event()
        self._threads = [threading.Thread(target=self._read_on, daemon=True) for _ in range(4)]

    def __enter__(self) -> "Streams":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(60)

    def _read_on(self) -> None:
        client = self._platform.client()
        while not self._over.is_set():
            try:
                text = read(client)
            except openai.OpenAIError as error:
                self.failures.append(repr(error))
                continue
            if text == WORDS:
                self.whole += 1
            else:
                self.failures.append(text)


def read(client: openai.OpenAI) -> str:
    """The text of a stream that takes some seconds."""
    stream = client.chat.completions.create(
        model="sim/slow", messages=[{"role": "user", "content": f"sim: say {WORDS}"}], stream=True
    )
    return "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
