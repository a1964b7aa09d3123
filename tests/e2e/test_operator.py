"""What an operator does with keys and models by command, on both buses, while the platform runs."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import pytest
from openai.types.chat import ChatCompletionMessageParam

from tests.support.engine_fake import FakeEngine, completion
from tests.support.platform import Platform

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e")]

WITHIN = 1.0  # seconds in which a change is live
ENGINE_KEY = "sk-of-the-engine"


def status(platform: Platform, path: str, key: str) -> int:
    """The status of a GET with a key."""
    headers = {"authorization": f"Bearer {key}"}
    return httpx.get(platform.info["base_url"] + path, headers=headers, timeout=5, trust_env=False).status_code


def wait_until(holds: Callable[[], bool]) -> None:
    """Fail unless it holds within a second."""
    end = time.monotonic() + WITHIN
    while not holds():
        assert time.monotonic() < end, f"not within {WITHIN} s"
        time.sleep(0.02)


def test_a_key_works_until_it_is_revoked(platform: Platform) -> None:
    """Made, listed and revoked by command; live in each api process within a second."""
    made = platform.cli_json("keys", "create", "--name", "e2e", "--expires", "1d", "--scope", "chat")
    wait_until(lambda: status(platform, "/v1/models", made["key"]) == 200)
    listed = {key["id"]: key for key in platform.cli_json("keys", "list")["keys"]}
    assert listed[made["id"]]["prefix"] == made["key"][:12]
    assert made["key"] not in str(listed)
    platform.cli("keys", "revoke", made["id"])
    wait_until(lambda: status(platform, "/v1/models", made["key"]) == 401)


def test_a_key_of_a_person_gives_no_power(platform: Platform) -> None:
    """The printed key asks and reads its usage; it neither makes keys nor sees the operator's catalogue."""
    assert status(platform, "/api/v1/usage", platform.info["api_key"]) == 200
    assert status(platform, "/api/v1/keys", platform.info["api_key"]) == 403
    assert status(platform, "/api/v1/admin/models", platform.info["api_key"]) == 403


@pytest.fixture
async def engine() -> AsyncIterator[FakeEngine]:
    """An engine of somebody else."""
    async with FakeEngine().serving() as serving:
        yield serving


async def test_an_added_model_is_asked_with_its_sealed_key(
    platform: Platform, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Live within a second and without a restart; the engine's key reaches the engine, and rests nowhere in clear."""
    monkeypatch.setenv("E2E_ENGINE_KEY", ENGINE_KEY)
    engine.will(completion("Good day.", {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}))
    options = ["--engine", "openai-compatible", "--url", engine.url, "--upstream-model", "theirs", "--alias", "nick"]
    prices = ["--price-in", "0.000001", "--price-out", "0.000000002", "--api-key-env", "E2E_ENGINE_KEY"]
    await asyncio.to_thread(platform.cli, "models", "add", "local/one", *options, *prices)
    text, request_id = await asyncio.to_thread(ask, platform, "nick")
    assert text == "Good day."
    (asked,) = engine.asked
    assert asked.headers["authorization"] == f"Bearer {ENGINE_KEY}"
    assert asked.body["model"] == "theirs"
    assert await cost(platform, request_id) == 9 * 1000 + 3 * 2
    assert not [path for path in files(platform.data) if ENGINE_KEY.encode() in path.read_bytes()]


def ask(platform: Platform, model: str) -> tuple[str | None, str]:
    """The text of one chat completion by the official client, and the id of its request."""
    messages: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Hello"}]
    raw = platform.client().chat.completions.with_raw_response.create(model=model, messages=messages)
    return raw.parse().choices[0].message.content, raw.headers["x-request-id"]


async def cost(platform: Platform, request_id: str) -> int:
    """What billing charged for a request, once it did."""
    for _ in range(100):
        usage = await asyncio.to_thread(platform.usage, request_id)
        if usage["requests"]:
            return usage["cost_nano"]
        await asyncio.sleep(0.05)
    raise AssertionError(f"{request_id} was not charged")


def files(folder: Path) -> list[Path]:
    """Every file of the data folder that a person might look into."""
    return [path for name in ("secrets", "logs", "keyring") for path in (folder / name).rglob("*") if path.is_file()]


def test_a_removed_model_is_gone(platform: Platform) -> None:
    """A model that no engine answers for can be added, seen and removed."""
    platform.cli(
        "models", "add", "local/two", "--engine", "vllm", "--url", "http://127.0.0.1:9/v1", "--context", "4096"
    )
    models = {model["name"]: model for model in platform.cli_json("models", "ls")["models"]}
    assert models["local/two"]["context_tokens"] == 4096
    assert models["local/two"]["provider"] == "vllm"
    platform.cli("models", "rm", "local/two")
    assert status(platform, "/v1/models/local/two", platform.info["api_key"]) == 404


def test_refusals_say_what_to_do(platform: Platform) -> None:
    """What the platform refuses ends with 1, misuse with 2; each says why."""
    engine = ["--engine", "openai-compatible", "--url", "http://127.0.0.1:9/v1"]
    cases = [
        (["models", "add", "x", *engine, "--api-key-env", "E2E_NOT_SET"], 1, "export E2E_NOT_SET="),
        (["models", "add", "x", *engine, "--api-key-env", "sk-key"], 2, "never a key itself"),
        (["models", "add", "x", *engine, "--price-in", "0.0000000001"], 2, "9 decimals"),
        (["models", "add", "x", "--engine", "abacus", "--url", "http://127.0.0.1:9"], 1, "openai-compatible"),
        (["models", "add", "x", "--engine", "vllm", "--url", "127.0.0.1:9"], 1, "http://"),
        (["models", "add", "x", *engine, "--alias", "sim/fast"], 1, "sim/fast"),
        (["models", "rm", "nobody"], 1, "nobody"),
        (["keys", "create", "--scope", "root"], 1, "chat, usage:read"),
        (["keys", "create", "--expires", "soon"], 2, "30d"),
        (["keys", "revoke", "00000000-0000-7000-8000-0000000000ff"], 1, "no such API key"),
    ]
    for arguments, code, words in cases:
        done = platform.cli(*arguments, check=False)
        assert (done.returncode, words in done.stderr) == (code, True), f"{arguments}: {done.stderr}"
