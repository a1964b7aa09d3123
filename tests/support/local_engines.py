"""Engines as their documentation has them, strict about what they don't know, over real sockets."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

Body = Mapping[str, Any] | str
Unknown = Callable[[str], web.Response]


@dataclass
class LocalEngine:
    """A table of paths, and what the engine says to any other path."""

    paths: Mapping[str, Body]
    unknown: Unknown
    key: str = ""
    guarded: Callable[[str], bool] = lambda _: False
    """Which paths want the key."""
    refusal: Mapping[str, Any] = field(default_factory=dict)
    loading: bool = False
    says: str = ""
    """What it answers in every chat."""
    asked: list[str] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        """What it answers."""
        path = request.path
        self.asked.append(path)
        if path == "/v1/chat/completions":
            return self._chat(await request.json())
        if request.method != "GET" or "cookie" in request.headers:
            return web.Response(status=400)
        if self.loading:
            error = {"code": 503, "message": "Loading model", "type": "unavailable_error"}
            return web.json_response({"error": error}, status=503)
        if self.key and self.guarded(path) and request.headers.get("authorization") != f"Bearer {self.key}":
            return web.json_response(self.refusal, status=401)
        body = self.paths.get(path)
        if body is None:
            return self.unknown(path)
        return web.Response(text=body) if isinstance(body, str) else web.json_response(body)

    def _chat(self, body: dict[str, Any]) -> web.Response:
        """An unstreamed answer, to a model that it has."""
        known = json.dumps(self.paths["/v1/models"])
        if body["stream"] or f'"{body["model"]}"' not in known:
            return web.json_response({"error": {"message": "not here", "type": "invalid_request_error"}}, status=404)
        message = {"role": "assistant", "content": self.says}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
        answer = {"id": "c", "object": "chat.completion", "created": 1, "model": body["model"], "choices": [choice]}
        return web.json_response(answer | {"usage": usage})


@asynccontextmanager
async def listening(engine: LocalEngine, port: int = 0) -> AsyncIterator[int]:
    """The port on which it serves."""
    runner = web.ServerRunner(web.Server(engine.answer), shutdown_timeout=0.1)  # type: ignore[arg-type]
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


@asynccontextmanager
async def raw_listener(says: bytes | None) -> AsyncIterator[int]:
    """A server that says something as soon as it is asked; nothing at all for None."""

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        if says is not None:
            writer.write(says)
            writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def ollama(*models: str, family: str = "llama") -> LocalEngine:
    """Ollama, docs/api.md."""
    tags = [{"name": m, "model": m, "size": 1, "digest": "d", "details": {"family": family}} for m in models]
    cards = [{"id": m, "object": "model", "created": 1, "owned_by": "library"} for m in models]
    return LocalEngine(
        {
            "/": "Ollama is running",
            "/api/version": {"version": "0.12.6"},
            "/api/tags": {"models": tags},
            "/v1/models": {"object": "list", "data": cards or None},
        },
        lambda _: web.Response(status=404, text="404 page not found"),
    )


def vllm(*models: str, key: str = "", owner: str = "vllm") -> LocalEngine:
    """vLLM's OpenAI-compatible server; its key guards what lies below /v1."""
    cards = [
        {"id": m, "object": "model", "created": 1, "owned_by": owner, "root": m, "max_model_len": 4096} for m in models
    ]
    return LocalEngine(
        {"/health": "", "/version": {"version": "0.11.0"}, "/v1/models": {"object": "list", "data": cards}},
        lambda _: web.json_response({"detail": "Not Found"}, status=404),
        key=key,
        guarded=lambda path: path.startswith("/v1"),
        refusal={"error": "Unauthorized"},
    )


def llamacpp(model: str = "/models/tiny.gguf", *, key: str = "", loading: bool = False) -> LocalEngine:
    """llama.cpp's server; /health and /v1/models are public."""
    card = {"id": model, "object": "model", "created": 1, "owned_by": "llamacpp", "meta": {"n_ctx_train": 2048}}
    return LocalEngine(
        {
            "/health": {"status": "ok"},
            "/props": {
                "default_generation_settings": {"id": 0, "n_ctx": 1024, "speculative": False},
                "total_slots": 4,
                "model_path": model,
                "build_info": "b8681",
            },
            "/v1/models": {"object": "list", "data": [card], "models": [{"name": model}]},
        },
        lambda _: web.json_response(
            {"error": {"code": 404, "message": "File Not Found", "type": "not_found_error"}}, status=404
        ),
        key=key,
        guarded=lambda path: path not in {"/health", "/v1/health", "/v1/models", "/models"},
        refusal={"error": {"code": 401, "message": "Invalid API Key", "type": "authentication_error"}},
        loading=loading,
    )


def lmstudio(*models: str, kind: str = "llm") -> LocalEngine:
    """LM Studio, REST API v0; what it does not know it answers with 200."""
    cards = [
        {"id": m, "object": "model", "type": kind, "state": "not-loaded", "max_context_length": 32768} for m in models
    ]
    return LocalEngine(
        {"/api/v0/models": {"object": "list", "data": cards}, "/v1/models": {"object": "list", "data": cards}},
        lambda path: web.json_response({"error": f"Unexpected endpoint or method. (GET {path})"}),
    )


def tgi(model: str) -> LocalEngine:
    """TGI's router."""
    return LocalEngine(
        {
            "/health": "",
            "/info": {
                "model_id": model,
                "model_sha": None,
                "max_concurrent_requests": 128,
                "max_input_tokens": 4095,
                "max_total_tokens": 8192,
                "router": "text-generation-router",
                "version": "3.3.6",
            },
            "/v1/models": {"object": "list", "data": [{"id": model, "object": "model", "owned_by": model}]},
        },
        lambda _: web.Response(status=404),
    )


def web_page() -> LocalEngine:
    """Something else: a site that answers every path with its own page."""
    return LocalEngine({}, lambda _: web.Response(text="<html>Hello</html>", content_type="text/html"))
