"""Engines that speak OpenAI's chat completions over HTTP."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
import msgspec
import structlog

from penstock_common.clock import Clock
from penstock_inference.adapters.engines.answers import AnswerStream, unstreamed, whole_answer
from penstock_inference.adapters.engines.failures import failure_of
from penstock_inference.adapters.engines.session import EngineTimes, translated
from penstock_inference.adapters.engines.watch import Watch
from penstock_inference.adapters.secrets import Secrets
from penstock_inference.domain.catalogue import Model
from penstock_inference.domain.dialects import DIALECTS, engine_request
from penstock_inference.domain.errors import EngineKeyRefused
from penstock_inference.ports import EngineCall, EngineEvent, WholeAnswer

log = structlog.get_logger()

WHOLE_BYTES = 6 << 20  # one bus message holds it, with room
ERROR_BYTES = 1 << 20
DRAIN_SECONDS = 0.05  # for the end of the body after [DONE], so that the connection can be used again

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class CompatibleEngine:
    """One HTTP session for all engines of this kind."""

    session: aiohttp.ClientSession
    secrets: Secrets
    clock: Clock
    times: EngineTimes

    async def stream(self, call: EngineCall) -> AsyncGenerator[list[EngineEvent], None]:
        """Events as the engine sends them."""
        watch = self._watch(call)
        watch.await_first_token()
        async with self._answer(call, watch, streamed=True) as response:
            if response.content_type == "application/json":
                raise unstreamed(await watch.read_all(response.content, ERROR_BYTES))
            answer = AnswerStream(call.body.get("n") or 1, call.request_id.hex[:20])
            while not answer.is_over:
                data = await watch.read(response.content, complete=answer.is_complete)
                if events := answer.feed(data):
                    watch.progressed(complete=answer.is_complete)
                    yield events
                if answer.failure:
                    raise answer.failure
            await drained(response.content)

    async def complete(self, call: EngineCall) -> WholeAnswer:
        """The whole answer."""
        watch = self._watch(call)
        async with self._answer(call, watch, streamed=False) as response:
            return whole_answer(await watch.read_all(response.content, WHOLE_BYTES))

    async def close(self) -> None:
        """Close the session and its connections."""
        await self.session.close()

    def _watch(self, call: EngineCall) -> Watch:
        return Watch(self.times, (call.deadline - self.clock.now()).total_seconds())

    @asynccontextmanager
    async def _answer(self, call: EngineCall, watch: Watch, *, streamed: bool) -> AsyncIterator[aiohttp.ClientResponse]:
        """The engine's answer, if it is one. Leaving ends the connection, unless it was read to its end."""
        model = call.model
        request = engine_request(
            call.body, DIALECTS[model.dialect], model.upstream_model or model.name, streamed=streamed
        )
        response = await self._post(model, _encode(request), self._headers(call), watch)
        try:
            if response.status != 200:
                await self._refused(response, watch, model)
            yield response
        finally:
            response.close()

    async def _post(self, model: Model, body: bytes, headers: dict[str, str], watch: Watch) -> aiohttp.ClientResponse:
        try:
            with translated(self.times):
                async with watch.waiting():
                    return await self.session.post(
                        f"{model.url}/chat/completions", data=body, headers=headers, allow_redirects=False
                    )
        except TimeoutError as error:
            raise watch.ran_out() from error

    async def _refused(self, response: aiohttp.ClientResponse, watch: Watch, model: Model) -> None:
        body = await watch.read_all(response.content, ERROR_BYTES)
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


async def drained(content: aiohttp.StreamReader) -> None:
    """Wait a moment for the end of the body; whoever sends on after the end of the answer is not read."""
    with contextlib.suppress(TimeoutError, aiohttp.ClientError):
        async with asyncio.timeout(DRAIN_SECONDS):
            await content.readany()
