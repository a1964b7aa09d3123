"""What an engine refuses, fails at and counts, by name; how its streams break is in `test_misbehaving_*.py`."""

import asyncio
from dataclasses import dataclass

import msgspec
import pytest

from penstock_common.contracts.generation import Tokens
from penstock_common.errors import PenstockError
from penstock_inference.adapters.engines.compatible import CompatibleEngine
from penstock_inference.adapters.engines.http.resolver import GuardedResolver
from penstock_inference.domain.catalogue import Model
from penstock_inference.domain.ending import DeadlinePassed
from penstock_inference.domain.errors import (
    ContextTooLong,
    EngineCut,
    EngineFailed,
    EngineGarbled,
    EngineKeyRefused,
    EngineOverloaded,
    EngineRefused,
    EngineUnreachable,
    ModelNotLoaded,
)
from tests.support.engine_calls import Heard, a_call, a_model, heard
from tests.support.engine_fake import (
    DONE,
    Answer,
    End,
    FakeEngine,
    as_json,
    chunk,
    completion,
    error,
    event,
    stream,
    usage_chunk,
)

HELLO = (chunk(role="assistant", content=""), chunk(content="Hel"), chunk(content="lo"), chunk(finish="stop"))


@dataclass(frozen=True)
class Bad:
    """A failure, and what it is called."""

    name: str
    answer: Answer
    raised: type[PenstockError]
    text: str = ""
    says: str = ""
    seconds: float = 300.0
    """Until the deadline."""


BAD = (
    Bad("500", error(500, "Traceback: secret"), EngineFailed, says="HTTP 500"),
    Bad("429", error(429, "slow down"), EngineOverloaded, says="slow down"),
    Bad("400", error(400, "max_tokens is\x00 too \x1b[31mbig"), EngineRefused, says="max_tokens is too [31mbig"),
    Bad("422 of fastapi", as_json({"detail": "n is too large"}, 422), EngineRefused, says="n is too large"),
    Bad("422 of tgi", as_json({"error": "bad", "error_type": "validation"}, 422), EngineRefused, says="bad"),
    Bad("too long by code", error(400, "long", "context_length_exceeded"), ContextTooLong, says="long"),
    Bad("too long by words", error(400, "maximum context length is 8192"), ContextTooLong),
    Bad("too long of llama.cpp", error(400, "over", kind="exceed_context_size_error"), ContextTooLong),
    Bad("401", error(401, "Incorrect API key sk-engine"), EngineKeyRefused),
    Bad("403", error(403, "no"), EngineKeyRefused),
    Bad("404", error(404, "model not found"), ModelNotLoaded),
    Bad("204", Answer(status=204, end=End.CUT), EngineGarbled),
    Bad(
        "200 with an error", as_json({"error": {"message": "boom", "type": "server_error"}}), EngineFailed, says="boom"
    ),
    Bad("200 with a refusal", error(200, "no", kind="invalid_request_error"), EngineRefused),
    Bad("200 unstreamed", completion("hi"), EngineGarbled, says="one object"),
    Bad("garbage in one read", Answer([event(HELLO[1]) + event(b"[1]") + DONE]), EngineGarbled, "Hel"),
    Bad("wrong types", Answer([event({"choices": [{"delta": {"content": 5}}]})]), EngineGarbled),
)


@pytest.mark.parametrize("case", BAD, ids=lambda case: case.name)
async def test_failures_have_names(case: Bad, upstream: FakeEngine, engine: CompatibleEngine, model: Model) -> None:
    """Each failure is typed, keeps what was said before it, and never shows the key or the engine's insides."""
    upstream.will(case.answer)
    answer = Heard()
    with pytest.raises(case.raised) as raised:
        await asyncio.wait_for(heard(engine, a_call(model), answer), 20)
    assert answer.text == case.text
    assert case.says in raised.value.message
    assert "sk-engine" not in raised.value.message
    assert "secret" not in raised.value.message


WHOLE_BAD = (
    Bad("500", error(500, "x"), EngineFailed),
    Bad("error object", as_json({"error": {"message": "boom"}}), EngineFailed),
    Bad("no choices", as_json({"choices": []}), EngineGarbled),
    Bad("no message", as_json({"choices": [{"index": 0}]}), EngineGarbled),
    Bad("html", Answer([b"<html>"], kind="text/html"), EngineGarbled),
    Bad("bad utf-8", Answer([b'{"choices":[{"message":{"content":"a"},"x":"\xff"}]}']), EngineGarbled),
    Bad("cut", Answer([b'{"choices":'], end=End.CUT), EngineCut),
    Bad("too large", Answer([b" " * (1 << 20)] * 17), EngineGarbled, says="more than 6 MB"),
    Bad("stalls", Answer([b"{"], end=End.HANG), DeadlinePassed, seconds=0.5),
)


@pytest.mark.parametrize("case", WHOLE_BAD, ids=lambda case: case.name)
async def test_unstreamed_failures_have_names(
    case: Bad, upstream: FakeEngine, engine: CompatibleEngine, model: Model
) -> None:
    """The same for answers that come at once."""
    upstream.will(case.answer)
    with pytest.raises(case.raised) as raised:
        await asyncio.wait_for(engine.complete(a_call(model, seconds=case.seconds)), 20)
    assert case.says in raised.value.message


NONSENSE: tuple[object, ...] = (
    None,
    "many",
    {},
    {"prompt_tokens": "9", "completion_tokens": 2},
    {"prompt_tokens": -9, "completion_tokens": 2},
    {"prompt_tokens": 9, "completion_tokens": 0},
    {"prompt_tokens": 0, "completion_tokens": 2},
    {"prompt_tokens": 9, "completion_tokens": 10**12},
)


@pytest.mark.parametrize("usage", NONSENSE, ids=str)
async def test_counts_that_cant_be_true_are_no_counts(
    usage: object, upstream: FakeEngine, engine: CompatibleEngine, model: Model
) -> None:
    """Text was produced, so counts that deny it are left out, streamed or not: they will be estimated."""
    upstream.will(stream(chunk(content="ab"), chunk(finish="stop", usage=usage)), completion("ab", usage))
    assert (await heard(engine, a_call(model))).used == []
    assert (await engine.complete(a_call(model))).tokens is None


async def test_cached_and_reasoning_tokens_are_parts(
    upstream: FakeEngine, engine: CompatibleEngine, model: Model
) -> None:
    """Both spellings of cached tokens are read, and a part is never larger than its whole."""
    details = {"prompt_tokens_details": {"cached_tokens": 4}, "completion_tokens_details": {"reasoning_tokens": 99}}
    upstream.will(
        stream(*HELLO, usage_chunk(9, 2, **details)), stream(*HELLO, usage_chunk(9, 2, prompt_cache_hit_tokens=8))
    )
    assert (await heard(engine, a_call(model))).used == [Tokens(9, 2, cached=4, reasoning=2)]
    assert (await heard(engine, a_call(model))).used == [Tokens(9, 2, cached=8)]


async def test_half_a_character_in_a_whole_answer_is_replaced(
    upstream: FakeEngine, engine: CompatibleEngine, model: Model
) -> None:
    """An escape that no text may hold costs no answer; whoever reads its body on finds JSON."""
    body = rb'{"choices":[{"message":{"content":"\\ud83d \ud83d\ude00 \ud83d"},"finish_reason":"stop"}]}'
    upstream.will(Answer([body], kind="application/json"))
    answer = await engine.complete(a_call(model))
    assert answer.text == "\\ud83d \U0001f600 \ufffd"
    assert msgspec.json.decode(answer.body)["choices"][0]["message"]["content"] == answer.text


async def test_nobody_listens(engine: CompatibleEngine) -> None:
    """A refused connection, and a name that leads nowhere, are an engine that can't be reached."""
    for url in ("http://127.0.0.1:1/v1", "http://engine.invalid/v1"):
        with pytest.raises(EngineUnreachable):
            await engine.complete(a_call(a_model(url=url)))


@pytest.mark.parametrize("host", ["2852039166", "0xA9FEA9FE", "169.254.43518"])
async def test_metadata_in_disguise_is_not_called(host: str, engine: CompatibleEngine) -> None:
    """Other spellings of a link-local address lead nowhere, and a name that resolves to one is refused."""
    with pytest.raises(EngineUnreachable):
        await engine.complete(a_call(a_model(url=f"http://{host}/v1")))
    with pytest.raises(OSError, match="link-local"):
        await GuardedResolver().resolve(host, 80)


async def test_a_deadline_bounds_everything(upstream: FakeEngine, engine: CompatibleEngine, model: Model) -> None:
    """An engine that always says a little more is left at the deadline; one past it is not called."""
    upstream.will(Answer([x for _ in range(100) for x in (event(chunk(content="x")), 0.05)]))
    with pytest.raises(DeadlinePassed):
        await heard(engine, a_call(model, seconds=0.5))
    with pytest.raises(DeadlinePassed):
        await heard(engine, a_call(model, seconds=-1))
    assert len(upstream.asked) == 1


@pytest.mark.parametrize("waits", [2, 0.5])
async def test_retry_after_is_kept(waits: float, upstream: FakeEngine, engine: CompatibleEngine, model: Model) -> None:
    """The engine's own wait is passed on."""
    upstream.will(error(429, "busy", **{"retry-after": str(waits)}))
    with pytest.raises(EngineOverloaded) as raised:
        await engine.complete(a_call(model))
    assert raised.value.retry_after == waits


async def test_a_missing_key_calls_nobody(upstream: FakeEngine, engine: CompatibleEngine) -> None:
    """Without its key an engine is not asked, and the client learns that it is not their fault."""
    with pytest.raises(EngineKeyRefused, match="operator"):
        await engine.complete(a_call(a_model(url=upstream.url, secret="ABSENT_KEY")))
    assert upstream.connections == 0
