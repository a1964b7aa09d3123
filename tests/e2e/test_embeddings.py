"""Embeddings with the official client, on both buses: the real model, recorded and billed as any request."""

import math
import os
import signal
import threading
import time
from typing import Any

import openai
import psutil
import pytest

from tests.e2e.test_chat import usage_of
from tests.support.platform import Platform, gone

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e")]

MODEL = "local/all-minilm-l6-v2"
TEXTS = ["cat", "kitten", "revenue"]


def cosine(one: list[float], other: list[float]) -> float:
    """Of two vectors of unit length."""
    return sum(x * y for x, y in zip(one, other, strict=True))


def test_texts_have_vectors_that_are_billed_once(platform: Platform) -> None:
    """Numbers or base64 alike, near where the meaning is near; the ledger has the tokens of the answer."""
    client = platform.client()
    raw = client.embeddings.with_raw_response.create(model=MODEL, input=TEXTS)
    answer = raw.parse()
    cat, kitten, revenue = (entry.embedding for entry in answer.data)
    assert math.hypot(*cat) == pytest.approx(1, abs=1e-5)
    assert cosine(cat, kitten) == pytest.approx(0.7882, abs=1e-3)
    assert cosine(cat, revenue) == pytest.approx(0.3163, abs=1e-3)
    numbers = client.embeddings.create(model=MODEL, input="cat", encoding_format="float")
    assert numbers.data[0].embedding == pytest.approx(cat, abs=1e-6)
    usage_of(platform, raw.headers["x-request-id"])
    usage = platform.cli_json("usage", "--request", raw.headers["x-request-id"])
    assert (usage["requests"], usage["prompt_tokens"], usage["cost_nano"]) == (1, answer.usage.prompt_tokens, 90)
    assert answer.usage.total_tokens == 9


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"model": "sim/fast", "input": "a"}, "serves chat, not embeddings"),
        ({"model": MODEL, "input": []}, "empty"),
        ({"model": MODEL, "input": ["a", ""]}, r"input\[1\]"),
        ({"model": MODEL, "input": ["a"] * 2049}, "2048"),
        ({"model": MODEL, "input": "river " * 300}, "takes 256"),
        ({"model": MODEL, "input": "a", "dimensions": 3}, "384"),
        ({"model": MODEL, "input": [[999_999_999]]}, "cl100k"),
        ({"model": MODEL, "input": "a", "encoding_format": "hex"}, "encoding_format"),
    ],
)
def test_a_request_that_cannot_be_is_a_400(platform: Platform, members: dict[str, Any], said: str) -> None:
    """Whose sentence says what is wrong."""
    with pytest.raises(openai.BadRequestError, match=said):
        platform.client().embeddings.create(**members)


def test_chat_with_an_embedding_model_is_a_400(platform: Platform) -> None:
    """The model exists, and does something else."""
    with pytest.raises(openai.BadRequestError, match="serves embeddings, not chat"):
        platform.client().chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "Hi"}])


def test_the_largest_answer_comes_through(platform: Platform) -> None:
    """2,048 vectors are 4 MB on the bus, and 16 MB as numbers for the client."""
    client = platform.client().with_options(timeout=120)
    answer = client.embeddings.create(model=MODEL, input=["a"] * 2048, encoding_format="float")
    assert len(answer.data) == 2048
    assert answer.usage.prompt_tokens == 2048 * 3


@pytest.mark.parametrize("victim", ["embedder", "inference"])
def test_a_killed_process_costs_nobody_an_answer(platform: Platform, victim: str) -> None:
    """Another one is begun, and the request is charged once."""
    answers: list[Any] = []
    client = platform.client().with_options(timeout=120)

    def ask() -> None:
        answers.append(client.embeddings.with_raw_response.create(model=MODEL, input=["river " * 200] * 64))

    asking = threading.Thread(target=ask)
    asking.start()
    embedder = embedder_of(platform)
    if victim == "embedder":
        os.kill(embedder, signal.SIGKILL)
    else:
        platform.kill("inference")
        assert gone(embedder)
    asking.join(120)
    request_id = answers[0].headers["x-request-id"]
    assert len(answers[0].parse().data) == 64
    usage_of(platform, request_id)
    usage = platform.cli_json("usage", "--request", request_id)
    assert (usage["requests"], usage["prompt_tokens"]) == (1, 64 * 202)


def embedder_of(platform: Platform) -> int:
    """The embedding process at work."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        for pid in platform.pids("inference"):
            for child in psutil.Process(pid).children():
                if child.cpu_percent(0.2) > 10:
                    return child.pid
    raise AssertionError("no embedding process is at work")
