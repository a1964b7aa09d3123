"""An inference process dies while its client reads: the same connection gets the rest, or an honest error."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from penstock_inference.domain.tokens import count_prompt, count_tokens
from tests.integration.inference.takeover.processes import (
    Stack,
    Stream,
    a_deployment,
    stack_on,
)
from tests.support.chat import QUESTION
from tests.support.continuing_engine import PROMPT_TOKENS, TEXT, ContinuingEngine, words_of
from tests.support.databases import Databases

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

PACE = 1.0  # seconds a word of the first call, after its first ones
QUICK = 8
OTHER = TEXT[:20].replace("goes", "runs") + TEXT[20:]
WITHIN = 5.0  # seconds from the kill to the next text
FROZEN_WITHIN = {"nats": 6.0, "amqp": 15.0}
SLACK = 4.0  # seconds that a machine may take longer whose two cores run everything
PROMPT = count_prompt({"messages": QUESTION})
"""Tokens of the question by the platform's own count."""


@dataclass
class Scene:
    """Everything that runs, and the engine that is asked."""

    stack: Stack
    engine: ContinuingEngine
    exits: AsyncExitStack

    async def cut(self, characters: int = 20, **body: Any) -> Stream:
        """A stream whose process was killed when its client had so much; another one is there."""
        first = await self.stack.start()
        await self.stack.knows("engine/told")
        if characters:
            await self.stack.start()
        stream = await self.exits.enter_async_context(Stream(self.stack, **body).reading())
        await stream.has(characters)
        if characters:
            first = await self.stack.owner(stream.request_id)
        else:
            while not self.engine.asked:
                await asyncio.sleep(0.01)
            await self.stack.start()
        stream.killed_at = asyncio.get_running_loop().time()
        first.kill()
        return stream


Scenes = Callable[..., Awaitable[Scene]]


@pytest.fixture
async def scenes(platform_databases: Databases, bus_url: str, tmp_path: Path) -> AsyncIterator[Scenes]:
    """Makes scenes: an engine with its rule and texts, and how its model is registered."""
    async with AsyncExitStack() as exits:

        async def make(rule: str, *texts: str, pace: float = PACE, base: str = "/v1", **given: Any) -> Scene:
            engine = ContinuingEngine(rule, list(texts) or [TEXT], [pace, 0.0], QUICK if pace == PACE else 0)
            await exits.enter_async_context(engine.serving())
            dialect = "anthropic" if rule == "thinking" else rule
            models = [a_deployment(engine, dialect, base, **given)]
            stack = await exits.enter_async_context(stack_on(platform_databases, bus_url, tmp_path, models))
            return Scene(stack, engine, exits)

        yield make


async def told_of(stack: Stack, request_id: str) -> list[str]:
    """How the request ended, its error, where its counts come from, and which way its second attempt went."""
    row = await stack.row(request_id)
    ways = [f"{d['outcome']}: {d['reason']}" for d in json.loads(row["decisions"]) if d["step"] == "take_over"]
    return [row["outcome"], row["error_code"], row["measure"], *ways]


async def charged(stack: Stack, request_id: str) -> tuple[int, int]:
    """Prompt and completion tokens, of one fact that was published of the request."""
    facts = "select count(*) from inference.outbox where subject = 'inference.generation.completed.v1'"
    assert [fact["count"] for fact in await stack.rows(facts)] == [1]
    row = await stack.row(request_id)
    return row["prompt_tokens"], row["completion_tokens"]


def assert_in_time(stream: Stream, what: str) -> None:
    """The client heard nothing for five seconds at most."""
    print(f"{what}: {stream.silence:.2f} s from the kill to the next text")
    assert stream.silence < WITHIN + SLACK


def assert_cut_honestly(stream: Stream, code: str) -> None:
    """An error event in OpenAI's shape after what was delivered; neither a finish reason nor `[DONE]`."""
    assert stream.error
    assert stream.error["code"] == code
    assert (stream.finish, stream.is_done) == ("", False)
    assert TEXT.startswith(stream.text)


PREFIXES: list[tuple[str, str, dict[str, str]]] = [
    ("vllm", "/v1", {}),
    ("llamacpp", "/v1", {}),
    ("deepseek", "/beta", {}),
]


@pytest.mark.parametrize(("rule", "base", "given"), [*PREFIXES, ("anthropic", "/v1", {"take_over": "prefix"})])
async def test_the_engine_goes_on_where_the_text_ends(
    rule: str, base: str, given: dict[str, str], scenes: Scenes
) -> None:
    """One text, one finish, `[DONE]`; charged once, for the whole of it."""
    scene = await scenes(rule, base=base, **given)
    stream = await scene.cut(temperature=1.0)
    await stream.over()
    assert (stream.text, stream.finish, stream.is_done, stream.error) == (TEXT, "stop", True, None)
    assert_in_time(stream, f"continued by {rule}")
    assert await told_of(scene.stack, stream.request_id) == ["succeeded", "", "estimated", "continue: prefix"]
    begun = scene.engine.asked[1][1]["messages"][-1]["content"]
    rest = PROMPT_TOKENS + len(words_of(begun)) - count_tokens(begun), len(words_of(TEXT.removeprefix(begun)))
    assert await charged(scene.stack, stream.request_id) == (rest[0], rest[1] + count_tokens(begun))


async def test_the_simulated_engine_goes_on_too(scenes: Scenes) -> None:
    """Its text is known, and its counts are exact."""
    scene = await scenes("vllm")
    body: dict[str, Any] = {"model": "sim/slow", "max_tokens": 60, "seed": 2}
    stream = await scene.cut(**body)
    await stream.over()
    async with Stream(scene.stack, **body).reading() as whole:
        await whole.over()
    assert (stream.text, stream.is_done) == (whole.text, True)
    assert_in_time(stream, "continued by sim/slow")
    cut, uncut = [await scene.stack.row(each.request_id) for each in (stream, whole)]
    assert (cut["prompt_tokens"], cut["completion_tokens"]) == (uncut["prompt_tokens"], uncut["completion_tokens"])
    assert (cut["measure"], uncut["measure"]) == ("estimated", "measured")


async def test_a_deterministic_answer_is_generated_again_and_compared(scenes: Scenes) -> None:
    """The client gets each character once, and pays what the engine measured."""
    scene = await scenes("openai-compatible")
    stream = await scene.cut(temperature=0)
    await stream.over()
    assert (stream.text, stream.finish, stream.is_done) == (TEXT, "stop", True)
    assert_in_time(stream, "verified")
    assert await told_of(scene.stack, stream.request_id) == ["succeeded", "", "measured", "verify: temperature"]
    assert await charged(scene.stack, stream.request_id) == (PROMPT_TOKENS, len(words_of(TEXT)))


async def test_an_answer_that_comes_out_different_ends_honestly(scenes: Scenes) -> None:
    """None of the other text is delivered; the charge is the estimate of what was."""
    scene = await scenes("openai-compatible", TEXT, OTHER)
    stream = await scene.cut(temperature=0)
    await stream.over()
    assert_cut_honestly(stream, "inference.answer_diverged")
    ended = ["partial", "inference.answer_diverged", "partial", "verify: temperature"]
    assert await told_of(scene.stack, stream.request_id) == ended
    assert await charged(scene.stack, stream.request_id) == (PROMPT, count_tokens(stream.text))


async def test_what_nobody_heard_is_generated_anew(scenes: Scenes) -> None:
    """No word was delivered: any text will do, whatever the policy."""
    scene = await scenes("openai-compatible", TEXT, OTHER, pace=60.0, take_over="fail")
    stream = await scene.cut(0, temperature=1.0)
    await stream.over()
    assert (stream.text, stream.is_done) == (OTHER, True)
    assert_in_time(stream, "anew")
    assert await told_of(scene.stack, stream.request_id) == ["succeeded", "", "measured", "anew: nothing_delivered"]


GIVEN_UP = [
    ("openai-compatible", {}, {}, "not_deterministic", 1),
    ("vllm", {"take_over": "fail"}, {"temperature": 0}, "policy", 1),
    ("vllm", {}, {"response_format": {"type": "json_object"}}, "response_format", 1),
    ("thinking", {"take_over": "prefix"}, {}, "engine_refused", 2),
]


@pytest.mark.parametrize(("rule", "given", "body", "reason", "calls"), GIVEN_UP)
async def test_what_can_not_go_on_ends_honestly(
    rule: str, given: dict[str, str], body: dict[str, Any], reason: str, calls: int, scenes: Scenes
) -> None:
    """Never a silent cut: an error event, a partial row, and the charge of what was delivered."""
    scene = await scenes(rule, **given)
    stream = await scene.cut(**body)
    await stream.over()
    assert_cut_honestly(stream, "inference.answer_cut")
    told = await told_of(scene.stack, stream.request_id)
    assert (told[:3], told[-1]) == (["partial", "inference.answer_cut", "partial"], f"give_up: {reason}")
    prompt, completion = await charged(scene.stack, stream.request_id)
    assert completion == count_tokens(stream.text)
    assert prompt == count_prompt({"messages": QUESTION, **body})
    assert len(scene.engine.asked) == calls


async def test_a_frozen_process_that_wakes_counts_for_nothing(bus_url: str, scenes: Scenes) -> None:
    """Taken over while it was frozen, it says no word more; the row, the charge and the end are the other's."""
    scene = await scenes("vllm")
    for _ in range(2):
        await scene.stack.start()
    await scene.stack.knows("engine/told")
    async with Stream(scene.stack).reading() as stream:
        await stream.has(20)
        frozen = await scene.stack.owner(stream.request_id)
        stream.killed_at = asyncio.get_running_loop().time()
        frozen.signal(signal.SIGSTOP)
        await stream.over()
        print(f"frozen: {stream.silence:.2f} s until the other one went on")
        assert stream.silence < FROZEN_WITHIN[bus_url.partition(":")[0]] + SLACK
        assert (stream.text, stream.is_done) == (TEXT, True)
        before = await scene.stack.row(stream.request_id)
        frozen.signal(signal.SIGCONT)
        await asyncio.sleep(3)
    assert await scene.stack.row(stream.request_id) == before
    assert before["attempt"] == 2
    await charged(scene.stack, stream.request_id)
    costed = "select body from inference.outbox where subject = 'inference.attempt.costed.v1'"
    assert len(await scene.stack.rows(costed)) == 1  # the lost attempt, once
    assert len(scene.engine.asked) == 2
