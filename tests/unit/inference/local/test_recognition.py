"""Each engine is known by its own endpoint, on any port, and what is none of them is said to be none."""

import time
from collections.abc import AsyncIterator

import aiohttp
import pytest

from penstock_common.messaging.topology import ACK_WAIT
from penstock_inference.adapters.local.asking import make_session
from penstock_inference.adapters.local.inspection import Sight, inspect
from penstock_inference.domain.engine_kinds import Offer
from penstock_inference.domain.local_models import Address, registrations
from tests.support.local_engines import (
    LocalEngine,
    listening,
    llamacpp,
    lmstudio,
    ollama,
    raw_listener,
    tgi,
    vllm,
    web_page,
)


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    """As inference makes it."""
    async with make_session() as made:
        yield made


async def seen(session: aiohttp.ClientSession, engine: LocalEngine) -> Sight:
    """What is seen of an engine on a port that says nothing of it."""
    async with listening(engine) as port:
        return await inspect(session, Address("127.0.0.1", port))


@pytest.mark.parametrize(
    ("engine", "kind", "version", "offer"),
    [
        (ollama("llama3.2:1b"), "ollama", "0.12.6", Offer("llama3.2:1b")),
        (ollama("all-minilm:latest", family="bert"), "ollama", "0.12.6", Offer("all-minilm:latest", embeds=True)),
        (vllm("Qwen/Qwen3-8B"), "vllm", "0.11.0", Offer("Qwen/Qwen3-8B", 4096)),
        (llamacpp(), "llamacpp", "b8681", Offer("/models/tiny.gguf", 1024)),
        (lmstudio("qwen2-7b"), "lmstudio", "", Offer("qwen2-7b", 32768)),
        (lmstudio("nomic", kind="embeddings"), "lmstudio", "", Offer("nomic", 32768, embeds=True)),
        (tgi("bigscience/bloom"), "tgi", "3.3.6", Offer("bigscience/bloom", 8192)),
    ],
)
async def test_an_engine_is_known_by_what_it_says(
    session: aiohttp.ClientSession, engine: LocalEngine, kind: str, version: str, offer: Offer
) -> None:
    """With its version, its models and what they hold."""
    sight = await seen(session, engine)
    assert sight.kind
    assert (sight.state, sight.kind.name, sight.version, sight.offers) == ("serving", kind, version, [offer])


@pytest.mark.parametrize(
    ("engine", "state", "words"),
    [
        (ollama(), "empty", "Ollama runs but has no models"),
        (lmstudio(), "empty", "LM Studio runs but has no models"),
        (vllm("m", key="sk"), "locked", "vLLM wants a key; run: penstock models add"),
        (llamacpp(key="sk"), "locked", "it wants a key"),
        (llamacpp(loading=True), "loading", "still reading its model"),
        (vllm("m", owner="sglang"), "stranger", "none of the engines"),
        (web_page(), "stranger", "none of the engines"),
    ],
)
async def test_what_can_not_be_served_says_why(
    session: aiohttp.ClientSession, engine: LocalEngine, state: str, words: str
) -> None:
    """And what to do."""
    sight = await seen(session, engine)
    assert (sight.state, words in sight.reason, sight.offers) == (state, True, []), sight.reason


@pytest.mark.parametrize(
    ("says", "state", "words"),
    [
        (None, "silent", "did not answer within"),
        (b"220 mail.example ESMTP\r\n", "stranger", "does not speak HTTP"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (2 << 20), "stranger", "more than 1 MiB"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n[[[[[", "stranger", "none of the engines"),
        (b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n", "stranger", "none"),
    ],
)
async def test_strangers_cost_little(
    session: aiohttp.ClientSession, says: bytes | None, state: str, words: str
) -> None:
    """Silence, another protocol, a flood, nonsense and a redirect: each ends soon and is named."""
    async with raw_listener(says) as port:
        began = time.monotonic()
        sight = await inspect(session, Address("127.0.0.1", port))
    assert (sight.state, words in sight.reason) == (state, True), sight.reason
    assert time.monotonic() - began < ACK_WAIT


async def test_a_closed_port_is_absent(session: aiohttp.ClientSession) -> None:
    """Nobody listens."""
    async with raw_listener(None) as port:
        pass
    sight = await inspect(session, Address("127.0.0.1", port))
    assert (sight.state, sight.reason) == ("absent", "nothing listens there")


async def test_a_name_tells_engine_and_place(session: aiohttp.ClientSession) -> None:
    """Short at the usual place; a file's path is not part of it; what can't be named is left out."""
    kinds = {name: (await seen(session, e)).kind for name, e in {"o": ollama("m"), "l": llamacpp()}.items()}
    assert kinds["o"]
    assert kinds["l"]
    offers = [Offer("llama3.2:1b"), Offer("spaced out"), Offer("x" * 200)]
    usual = registrations(offers, kinds["o"], Address("localhost", 11434))
    (elsewhere,) = registrations([Offer("/m/tiny.gguf", 512)], kinds["l"], Address("gpu-1", 8090))
    assert [(m.name, m.url, m.engine) for m in usual] == [("ollama/llama3.2:1b", "http://localhost:11434/v1", "ollama")]
    assert (elsewhere.name, elsewhere.upstream_model) == ("llamacpp@gpu-1:8090/tiny.gguf", "/m/tiny.gguf")
    assert (elsewhere.url, elsewhere.context_tokens) == ("http://gpu-1:8090/v1", 512)


async def test_a_usual_port_is_asked_for_its_engine_first(session: aiohttp.ClientSession) -> None:
    """One question and the list; strangers' logs stay short."""
    engine = ollama("m")
    await seen(session, engine)
    assert engine.asked == ["/api/version", "/api/tags"]
