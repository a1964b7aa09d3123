"""Everything dies under load, and nothing that was answered is lost or charged twice."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from openai.types.chat import ChatCompletionMessageParam

from tests.e2e.conftest import bus_options
from tests.support.load import Crowd
from tests.support.platform import Platform, gone, running

pytestmark = [pytest.mark.e2e, pytest.mark.chaos, pytest.mark.xdist_group("e2e")]


@pytest.fixture(params=["nats", "rabbitmq"])
def fragile(request: pytest.FixtureRequest, reachable_folder: Path) -> Iterator[Platform]:
    """A platform of this test's own."""
    data = reachable_folder / f"fragile-{request.param}-{time.time_ns()}"
    with bus_options(request.param) as options, running(Platform(data, options)) as platform:
        yield platform


def until(check: Callable[[], bool], seconds: float) -> float:
    """Wait for something to become true; gives the seconds it took."""
    start = time.monotonic()
    while not check():
        assert time.monotonic() - start < seconds, "it did not come back"
        time.sleep(0.05)
    return time.monotonic() - start


def assert_books_agree(platform: Platform, answered: set[str]) -> None:
    """Every answered request is charged once, and the four records agree."""
    report = platform.cli_json("reconcile", "--settle", "40", check=False)
    assert report["clean"], report["differences"][:10]
    charged = {r for r in answered if platform.usage(r)["requests"] == 1}
    assert charged == answered


def test_kill_nine_of_everything_loses_no_answered_request(fragile: Platform) -> None:
    """SIGKILL to every process under load, then a new start: the books agree."""
    with Crowd(fragile) as crowd:
        time.sleep(2)
        fragile.kill_everything()
    sample = set(sorted(crowd.told.answered)[-25:])
    assert len(sample) == 25
    fragile.start()
    assert_books_agree(fragile, sample)


@pytest.mark.parametrize("role", ["api", "inference", "billing", "postgres", "nats"])
def test_a_killed_process_comes_back_by_itself(fragile: Platform, role: str) -> None:
    """One process dies under load: refusals are quick, the platform answers again, and the books agree."""
    if role not in fragile.info["processes"]:
        role = "inference"  # a bus of one's own is not ours to kill
    with Crowd(fragile) as crowd:
        time.sleep(1)
        assert gone(fragile.kill(role))
        time.sleep(1)
        before = len(crowd.told.answered)
        recovered = until(lambda: len(crowd.told.answered) > before + 20, 15)
        print(f"{role}: answers again {recovered + 1:.1f} s after it was killed")
    if role != "api":  # whoever connects while api is started again waits for it
        assert crowd.told.slowest_refusal < 2.5
    assert_books_agree(fragile, set(sorted(crowd.told.answered)[-10:]))


def test_no_orphan_survives_its_supervisor(fragile: Platform) -> None:
    """Only the supervisor is killed: everything it started ends."""
    children = [pid for pid in fragile.pids() if pid not in fragile.info["processes"]["supervisor"]]
    os.kill(fragile.info["processes"]["supervisor"][0], signal.SIGKILL)
    assert all(gone(pid, 15) for pid in children)


def test_a_stream_outlives_the_process_that_generates_it(fragile: Platform) -> None:
    """kill -9 of inference mid-stream: the same connection gets the rest of the same text, charged once."""
    client = fragile.client()
    question: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Go on whatever happens."}]
    text, request_id = "", ""
    for number, chunk in enumerate(
        client.chat.completions.create(model="sim/slow", messages=question, seed=2, max_tokens=60, stream=True)
    ):
        request_id = chunk.id.removeprefix("chatcmpl-")
        text += chunk.choices[0].delta.content or ""
        if number == 8:
            fragile.kill("inference")
    whole = client.chat.completions.create(model="sim/slow", messages=question, seed=2, max_tokens=60)
    assert whole.usage is not None
    assert text == whole.choices[0].message.content
    assert_books_agree(fragile, {request_id})
    assert fragile.usage(request_id)["completion_tokens"] == whole.usage.completion_tokens
