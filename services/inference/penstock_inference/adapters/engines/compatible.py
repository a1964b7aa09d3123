"""Engines that speak OpenAI's chat completions over HTTP."""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from math import inf
from typing import Any

import aiohttp
import msgspec
import structlog

from penstock_common.clock import Clock
from penstock_inference.adapters.engines.answers import AnswerStream, unstreamed, whole_answer
from penstock_inference.adapters.engines.assembled import Assembly
from penstock_inference.adapters.engines.embedded import embedded
from penstock_inference.adapters.engines.failures import failure_of
from penstock_inference.adapters.engines.session import CUT, Connection, EngineTimes, ended_with_connection, translated
from penstock_inference.adapters.engines.unrepeated import Unrepeated
from penstock_inference.adapters.engines.watch import Watch
from penstock_inference.adapters.secrets import Secrets
from penstock_inference.domain.catalogue import Model
from penstock_inference.domain.dialects import DIALECTS, embeddings_request, engine_request
from penstock_inference.domain.embeddings import KNOWN_DIMENSIONS, wanted
from penstock_inference.domain.errors import EngineCut, EngineGarbled, EngineKeyRefused, readable
from penstock_inference.ports import EngineCall, EngineEvent, Used, WholeAnswer

log = structlog.get_logger()

WHOLE_BYTES = 6 << 20  # one bus message holds it, with room
EMBEDDINGS_BYTES = 32 << 20  # as numbers; in base64 they fit one bus message or are refused
ERROR_BYTES = 1 << 20
STALE_SECONDS = 1.0  # within which a connection that the engine closed before shows that it is of no use
DRAIN_SECONDS = 0.05  # for the end of the body after [DONE], so that the connection can be used again

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class CompatibleEngine:
    """One HTTP session for all engines of this kind."""

    session: aiohttp.ClientSession
    secrets: Secrets
    clock: Clock
    times: EngineTimes

    def stream(self, call: EngineCall) -> AsyncGenerator[list[EngineEvent], None]:
        """Events as the engine sends them."""
        return self._events(call, answer_to(call), self._watch(call))

    async def _events(
        self, call: EngineCall, answer: AnswerStream, watch: Watch
    ) -> AsyncGenerator[list[EngineEvent], None]:
        watch.await_first_token()
        async with self._answer(call, watch, *chat(call, streamed=True)) as response:
            if response.content_type == "application/json":
                raise unstreamed(await watch.read_all(response.content, ERROR_BYTES))
            unrepeated = Unrepeated(call.prefix.text)
            while not answer.is_over:
                data = await watch.read(response.content, complete=answer.is_complete)
                if events := unrepeated.of(answer.feed(data)):
                    if not all(isinstance(event, Used) for event in events):
                        watch.progressed(complete=answer.is_complete)
                    yield events
                if answer.failure:
                    raise answer.failure
            await drained(response.content)

    async def complete(self, call: EngineCall) -> WholeAnswer:
        """The whole answer."""
        if DIALECTS[call.model.dialect].looks_when_writing:
            return await self._assembled(call)
        watch = self._watch(call)
        async with self._answer(call, watch, *chat(call, streamed=False)) as response:
            return whole_answer(await watch.read_all(response.content, WHOLE_BYTES))

    async def _assembled(self, call: EngineCall) -> WholeAnswer:
        """The whole answer, streamed: it may take until the deadline, and leaving it ends the engine's call at once."""
        assembly, members = Assembly(), dict[str, msgspec.Raw]()
        patient = EngineTimes(self.times.connect, first_token=inf, between_tokens=inf)
        async with aclosing(self._events(call, answer_to(call, members), self._watch(call, patient))) as stream:
            async for events in stream:
                assembly.take(events)
        answer = assembly.answer(members)
        if len(answer.body) > WHOLE_BYTES:
            raise EngineGarbled(f"the model's engine answered with more than {WHOLE_BYTES >> 20} MB")
        return answer

    async def embed(self, call: EngineCall) -> WholeAnswer:
        """The vectors of the request's inputs."""
        request, watch = wanted(call.body), self._watch(call)
        name = name_at_engine(call.model)
        if dimensions := request.dimensions or KNOWN_DIMENSIONS.get(name):
            request.must_fit(dimensions)
        asked = embeddings_request(call.body, DIALECTS[call.model.dialect], name)
        async with self._answer(call, watch, "embeddings", asked) as response:
            body = await watch.read_all(response.content, EMBEDDINGS_BYTES)
        return await asyncio.to_thread(embedded, body, request, call.model.name)

    async def close(self) -> None:
        """Close the session and its connections."""
        await self.session.close()

    def _watch(self, call: EngineCall, times: EngineTimes | None = None) -> Watch:
        return Watch(times or self.times, (call.deadline - self.clock.now()).total_seconds())

    @asynccontextmanager
    async def _answer(
        self, call: EngineCall, watch: Watch, path: str, request: dict[str, Any]
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """The engine's answer, if it is one. Leaving ends the connection, unless it was read to its end."""
        url = f"{call.model.url}/{path}"
        response = await self._post(url, _encode(request), self._headers(call), watch)
        try:
            if response.status != 200:
                await self._refused(response, watch, call.model)
            must_be_plain(response.headers.get("content-encoding", ""))
            with ended_with_connection(response):
                yield response
        finally:
            response.close()

    async def _post(self, url: str, body: bytes, headers: dict[str, str], watch: Watch) -> aiohttp.ClientResponse:
        """The engine's answer. A kept connection may be closed already (llama.cpp does so after each stream)."""
        while True:
            connection, sent = Connection(), time.monotonic()
            try:
                with translated(self.times):
                    async with watch.waiting():
                        return await self.session.post(
                            url,
                            data=body,
                            headers=headers,
                            allow_redirects=False,
                            trace_request_ctx=connection,
                        )
            except TimeoutError as error:
                raise watch.ran_out() from error
            except EngineCut:
                if not connection.kept or time.monotonic() - sent > STALE_SECONDS:
                    raise

    async def _refused(self, response: aiohttp.ClientResponse, watch: Watch, model: Model) -> None:
        body = await watch.read_some(response.content, ERROR_BYTES)
        error = failure_of(response.status, response.headers, body)
        log.warning("engine.refused", model=model.name, status=response.status, code=error.code)
        raise error

    def _headers(self, call: EngineCall) -> dict[str, str]:
        headers = {"traceparent": call.traceparent} if call.traceparent else {}
        if call.model.secret:
            key = self.secrets.resolve(call.model.secret)
            if key is None:
                log.error("engine.key_missing", model=call.model.name, secret=call.model.secret)
                raise EngineKeyRefused("the platform has no key for this model's engine; its operator must set it")
            headers["Authorization"] = f"Bearer {key}"
        return headers


def chat(call: EngineCall, *, streamed: bool) -> tuple[str, dict[str, Any]]:
    """(path, body) of a chat completion."""
    model = call.model
    return "chat/completions", engine_request(
        call.body, DIALECTS[model.dialect], name_at_engine(model), streamed=streamed, prefix=call.prefix
    )


def answer_to(call: EngineCall, members: dict[str, msgspec.Raw] | None = None) -> AnswerStream:
    """What reads the answer to a call; `members` as it says."""
    return AnswerStream(call.body.get("n") or 1, call.request_id.hex[:20], members)


def must_be_plain(encoding: str) -> None:
    """Raise EngineGarbled for a body that came compressed, unasked."""
    if encoding.strip().lower() not in ("", "identity"):
        raise EngineGarbled(f"the model's engine compressed its answer ({readable(encoding)}), although asked not to")


def name_at_engine(model: Model) -> str:
    """What the engine calls a model."""
    return model.upstream_model or model.name


async def drained(content: aiohttp.StreamReader) -> None:
    """Wait a moment for the end of the body; who sends more than blank lines after the answer is not read."""
    with contextlib.suppress(TimeoutError, *CUT):
        async with asyncio.timeout(DRAIN_SECONDS):
            while (data := await content.readany()) and not data.strip():
                continue
