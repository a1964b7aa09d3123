"""What a newcomer does, on both buses, with the official client."""

import time

import httpx
import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam

from tests.support.platform import Platform

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e")]

QUESTION: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Say something about penstocks."}]


def test_chat_is_answered_and_billed_to_the_last_token(platform: Platform) -> None:
    """The usage in the answer is the usage in the ledger, at the model's price."""
    raw = platform.client().chat.completions.with_raw_response.create(
        model="sim/fast", messages=QUESTION, max_tokens=20, seed=1
    )
    answer, request_id = raw.parse(), raw.headers["x-request-id"]
    assert answer.choices[0].message.content
    assert answer.usage is not None
    usage_of(platform, request_id)
    usage = platform.cli_json("usage", "--request", request_id)
    assert usage["requests"] == 1
    assert usage["prompt_tokens"] == answer.usage.prompt_tokens
    assert usage["completion_tokens"] == answer.usage.completion_tokens <= 20
    assert usage["cost_nano"] == usage["prompt_tokens"] * 100_000 + usage["completion_tokens"] * 200_000


def test_stream_is_the_same_text_with_usage_at_its_end(platform: Platform) -> None:
    """Streamed and not streamed, the same prompt and seed give the same text and the same usage."""
    client = platform.client()
    whole = client.chat.completions.create(model="sim/fast", messages=QUESTION, seed=7)
    stream = client.chat.completions.create(
        model="sim/fast", messages=QUESTION, seed=7, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == whole.choices[0].message.content
    assert chunks[-1].usage == whole.usage
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == whole.choices[0].finish_reason


def test_models_are_listed_and_found_by_name(platform: Platform) -> None:
    """The simulated models are there, a slash in the name included."""
    client = platform.client()
    assert {"sim/fast", "sim/slow", "sim/flaky"} <= {m.id for m in client.models.list()}
    assert client.models.retrieve("sim/fast").id == "sim/fast"


def test_unknown_model_is_a_clear_404(platform: Platform) -> None:
    """The error says which model, in the OpenAI shape."""
    with pytest.raises(openai.NotFoundError, match="no/such"):
        platform.client().chat.completions.create(model="no/such", messages=QUESTION)


def test_wrong_key_is_a_clear_401(platform: Platform) -> None:
    """A key that was never made opens nothing."""
    with pytest.raises(openai.AuthenticationError):
        platform.client(api_key="psk-wrong").chat.completions.create(model="sim/fast", messages=QUESTION)


def test_revoked_key_is_refused_within_a_second(platform: Platform) -> None:
    """A key works, is revoked, and no longer works."""
    made = platform.cli_json("keys", "create", "--name", "short-lived")
    client = platform.client(api_key=made["key"])
    client.chat.completions.create(model="sim/fast", messages=QUESTION, max_tokens=2)
    platform.cli("keys", "revoke", made["id"])
    time.sleep(1)
    with pytest.raises(openai.AuthenticationError):
        client.chat.completions.create(model="sim/fast", messages=QUESTION, max_tokens=2)


def test_client_that_leaves_ends_the_engine_call_and_pays_for_its_part(platform: Platform) -> None:
    """A cut stream is metered as far as it was generated, and no further."""
    body = {"model": "sim/slow", "messages": QUESTION, "stream": True, "max_tokens": 96, "seed": 3}
    headers = {"authorization": f"Bearer {platform.info['api_key']}"}
    url = f"{platform.info['base_url']}/v1/chat/completions"
    with httpx.stream("POST", url, json=body, headers=headers, timeout=20) as response:
        request_id = response.headers["x-request-id"]
        for number, _ in enumerate(response.iter_lines()):
            if number > 12:
                break
    usage = usage_of(platform, request_id)
    assert 1 <= usage["completion_tokens"] < 60


def test_the_books_agree(platform: Platform) -> None:
    """After all of the above the four records say the same."""
    report = platform.cli_json("reconcile")
    assert report["clean"], report
    assert report["differences"] == []


def usage_of(platform: Platform, request_id: str, seconds: float = 10.0) -> dict[str, int]:
    """The ledger's word on one request, once it is charged."""
    end = time.monotonic() + seconds
    while True:
        usage = platform.usage(request_id)
        if usage["requests"] or time.monotonic() > end:
            return usage
        time.sleep(0.1)
