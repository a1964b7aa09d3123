"""Engines that continue an answer which was begun, each as strict as its documentation says it is.

vLLM, "OpenAI-Compatible Server", extra parameters of the chat API; llama.cpp, tools/server/README, and its server's
words; DeepSeek, "Chat Prefix Completion (Beta)"; Anthropic, "Prefill Claude's response" and "OpenAI SDK compatibility".
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec
from aiohttp import web

from tests.support.engine_fake import chunk, event, usage_chunk

TEXT = "The river goes on whatever happens to the house beside it, and nobody in the house has ever seen it end."
PROMPT_TOKENS = 9
REQUIRED = ("model", "messages", "stream")

Given = tuple[str, dict[str, Any]]
"""(path, body) of a request."""


class Refused(Exception):
    """The engine's own words."""


def begun_by_flag(words: str) -> Callable[[str, dict[str, Any]], str]:
    """vLLM and llama.cpp: `continue_final_message`, which goes with `add_generation_prompt` false only."""

    def begun(_: str, body: dict[str, Any]) -> str:
        continues, prompts = body.get("continue_final_message", False), body.get("add_generation_prompt", True)
        if continues and prompts:
            raise Refused(words)
        if not continues:
            return ""
        return final_content(body)

    return begun


def begun_by_mark(path: str, body: dict[str, Any]) -> str:
    """DeepSeek: `prefix` in the last message, which must be the assistant's, below `/beta` only."""
    marked = [message for message in body["messages"] if message.get("prefix")]
    if not marked:
        return ""
    if not path.startswith("/beta/"):
        raise Refused("the prefix parameter is a beta feature: set base_url to https://api.deepseek.com/beta")
    if marked != body["messages"][-1:]:
        raise Refused("only the last message can be a prefix")
    return final_content(body)


def begun_by_role(_: str, body: dict[str, Any]) -> str:
    """Anthropic: the last message is the assistant's, and ends in no white space; one choice only."""
    if body.get("n", 1) != 1:
        raise Refused("n: must be exactly 1")
    if body["messages"][-1]["role"] != "assistant":
        return ""
    content = final_content(body)
    if content != content.rstrip():
        raise Refused("messages: final assistant content cannot end with trailing whitespace")
    return content


def never_begun(_: str, body: dict[str, Any]) -> str:
    """Anthropic's models from Claude Opus 4.6 on, and templates of thinking models."""
    if body["messages"][-1]["role"] == "assistant":
        raise Refused("This model does not support assistant message prefill.")
    return ""


def final_content(body: dict[str, Any]) -> str:
    """The beginning of the answer."""
    last = body["messages"][-1]
    if last["role"] != "assistant" or not isinstance(last.get("content"), str):
        raise Refused("the final message is not the assistant's, or not a text")
    return str(last["content"])


RULES: dict[str, Callable[[str, dict[str, Any]], str]] = {
    "vllm": begun_by_flag("Cannot set both `continue_final_message` and `add_generation_prompt` to True."),
    "llamacpp": begun_by_flag("Cannot set both add_generation_prompt and continue_final_message to true."),
    "deepseek": begun_by_mark,
    "anthropic": begun_by_role,
    "openai-compatible": lambda *_: "",
    "thinking": never_begun,
}


@dataclass
class ContinuingEngine:
    """Says TEXT word by word, each word a token; what it is given of it already, it does not say again."""

    rule: str
    texts: list[str] = field(default_factory=lambda: [TEXT])
    """What it says, call by call; the last for all that follow."""
    paces: list[float] = field(default_factory=lambda: [0.0])
    """Seconds before each word, call by call; the last for all that follow."""
    quick: int = 0
    """Chunks of each call that come without such a pause."""
    repeats: bool = False
    """Whether it says the beginning again that it was given, with the first word that is new."""
    asked: list[Given] = field(default_factory=list)
    port: int = 0

    def url(self, base: str = "/v1") -> str:
        """Where its API is."""
        return f"http://127.0.0.1:{self.port}{base}"

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["ContinuingEngine"]:
        """Serve on a free port."""
        app = web.Application()
        app.add_routes([web.post("/{base}/chat/completions", self._complete)])
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.port = runner.addresses[0][1]
        try:
            yield self
        finally:
            await runner.cleanup()

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        body = msgspec.json.decode(await request.read())
        call = len(self.asked)
        self.asked.append((request.path, body))
        try:
            if missing := [name for name in REQUIRED if name not in body]:
                raise Refused(f"missing: {missing}")
            begun = RULES[self.rule](request.path, body)
        except Refused as refused:
            error = {"message": str(refused), "type": "invalid_request_error", "code": 400}
            return web.json_response({"error": error}, status=400)
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        text = self.texts[min(call, len(self.texts) - 1)]
        limit = body.get("max_tokens") or body.get("max_completion_tokens")
        repeats = self.repeats or bool(body.get("echo"))
        for number, part in enumerate(stream_of(text, begun, limit, repeats=repeats)):
            await asyncio.sleep(self.paces[min(call, len(self.paces) - 1)] if number >= self.quick else 0)
            await response.write(event(part))
        await response.write(event(b"[DONE]"))
        return response


def stream_of(text: str, begun: str, limit: int | None, *, repeats: bool) -> Iterator[dict[str, Any]]:
    """The chunks of an answer, its finish and its counts. A beginning of something else is followed by all of it."""
    rest = words_of(text.removeprefix(begun))
    said = rest[:limit]
    yield chunk(role="assistant", content="")
    for number, word in enumerate(said):
        yield chunk(content=begun + word if repeats and not number else word)
    yield chunk(finish="length" if len(said) < len(rest) else "stop")
    yield usage_chunk(PROMPT_TOKENS + len(words_of(begun)), len(said))


def words_of(text: str) -> list[str]:
    """The text's tokens: words with the space before them."""
    return [word if not number else f" {word}" for number, word in enumerate(text.split(" ")) if word or number]
