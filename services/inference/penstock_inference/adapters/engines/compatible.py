"""Engines that speak OpenAI's chat completions over HTTP."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from math import inf
from typing import Any

import msgspec
import structlog

from penstock_common.clock import Clock
from penstock_inference.adapters.engines.answers import DONE, AnswerStream, unstreamed, whole_answer
from penstock_inference.adapters.engines.assembled import Assembly
from penstock_inference.adapters.engines.embedded import embedded
from penstock_inference.adapters.engines.failures import failure_of
from penstock_inference.adapters.engines.http.client import EngineHttp
from penstock_inference.adapters.engines.http.exchange import Exchange
from penstock_inference.adapters.engines.times import EngineTimes
from penstock_inference.adapters.engines.unrepeated import Unrepeated
from penstock_inference.adapters.engines.watch import ENDED, Watch, drained, read_all, read_some
from penstock_inference.adapters.secrets import Secrets
from penstock_inference.domain.catalogue import Model
from penstock_inference.domain.dialects import DIALECTS, embeddings_request, engine_request
from penstock_inference.domain.embeddings import KNOWN_DIMENSIONS, wanted
from penstock_inference.domain.errors import EngineGarbled, EngineKeyRefused, readable
from penstock_inference.ports import EngineCall, EngineEvent, Used, WholeAnswer

log = structlog.get_logger()

WHOLE_BYTES = 6 << 20  # one bus message holds it, with room
EMBEDDINGS_BYTES = 32 << 20  # as numbers; in base64 they fit one bus message or are refused
ERROR_BYTES = 1 << 20

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class CompatibleEngine:
    """All engines of this kind, over one set of connections."""

    http: EngineHttp
    secrets: Secrets
    clock: Clock
    times: EngineTimes

    def stream(self, call: EngineCall) -> AsyncGenerator[list[EngineEvent], None]:
        """Events as the engine sends them: its first text at once, what follows gathered for a tick."""
        return self._events(call, answer_to(call), self._watch(call))

    async def _events(
        self, call: EngineCall, answer: AnswerStream, watch: Watch
    ) -> AsyncGenerator[list[EngineEvent], None]:
        with watch:
            watch.await_first_token()
            exchange = await self._asked(call, watch, *chat(call, streamed=True))
            try:
                if exchange.content_type == "application/json":
                    raise unstreamed(await read_all(exchange, ERROR_BYTES))
                unrepeated = Unrepeated(call.prefix.text)
                while not answer.is_over:
                    try:
                        data = await exchange.read()
                    except ENDED:
                        if not answer.is_complete:
                            raise
                        data = b""
                    if events := unrepeated.of(answer.feed(data)):
                        if not isinstance(events[0], Used) or len(events) > 1:
                            watch.progressed(complete=answer.is_complete)
                            exchange.gather(self.http.timers.pulse, urgent=DONE)
                        yield events
                    if answer.failure:
                        raise answer.failure
                await drained(exchange)
            finally:
                exchange.close()

    async def complete(self, call: EngineCall) -> WholeAnswer:
        """The whole answer."""
        if DIALECTS[call.model.dialect].looks_when_writing:
            return await self._assembled(call)
        return whole_answer(await self._whole(call, *chat(call, streamed=False), most=WHOLE_BYTES))

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
        request = wanted(call.body)
        name = name_at_engine(call.model)
        if dimensions := request.dimensions or KNOWN_DIMENSIONS.get(name):
            request.must_fit(dimensions)
        asked = embeddings_request(call.body, DIALECTS[call.model.dialect], name)
        body = await self._whole(call, "embeddings", asked, most=EMBEDDINGS_BYTES)
        return await asyncio.to_thread(embedded, body, request, call.model.name)

    async def close(self) -> None:
        """Close the connections."""
        await self.http.close()

    def _watch(self, call: EngineCall, times: EngineTimes | None = None) -> Watch:
        left = (call.deadline - self.clock.now()).total_seconds()
        return Watch(self.http.timers.alarms, times or self.times, left)

    async def _whole(self, call: EngineCall, path: str, request: dict[str, Any], most: int) -> bytes:
        """The whole body of an answer."""
        with self._watch(call) as watch:
            exchange = await self._asked(call, watch, path, request)
            try:
                return await read_all(exchange, most)
            finally:
                exchange.close()

    async def _asked(self, call: EngineCall, watch: Watch, path: str, request: dict[str, Any]) -> Exchange:
        """The engine's answer, if it is one, to be closed by whoever gets it."""
        exchange = await self.http.post(f"{call.model.url}/{path}", _encode(request), self._headers(call), watch)
        try:
            if exchange.status != 200:
                await self._refused(exchange, watch, call.model)
            must_be_plain(exchange.headers.get("content-encoding", ""))
        except BaseException:
            exchange.close()
            raise
        return exchange

    async def _refused(self, exchange: Exchange, watch: Watch, model: Model) -> None:
        body = await read_some(exchange, watch, ERROR_BYTES)
        error = failure_of(exchange.status, exchange.headers, body)
        log.warning("engine.refused", model=model.name, status=exchange.status, code=error.code)
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
