"""Waits for an engine's next bytes, and says which patience ran out."""

import asyncio
import contextlib

import aiohttp

from penstock_common.errors import PenstockError
from penstock_inference.adapters.engines.session import EngineTimes, translated
from penstock_inference.domain.ending import DeadlinePassed
from penstock_inference.domain.errors import EngineCut, EngineGarbled, EngineTimedOut

EXPLAINING_SECONDS = 2.0  # for the body of a refusal, whose status says enough without it
CLOSING_SECONDS = 2.0  # for counts and [DONE] after the last choice has finished


class Watch:
    """The patience of one call."""

    def __init__(self, times: EngineTimes, seconds_left: float) -> None:
        if seconds_left <= 0:
            raise DeadlinePassed
        self._loop = asyncio.get_running_loop()
        self.times = times
        self._deadline = self._loop.time() + seconds_left
        self._why = ""
        self._until = 0.0
        self.allow(seconds_left, "")

    def await_first_token(self) -> None:
        """From now on the first token is due."""
        self.allow(self.times.first_token, f"sent no first token within {self.times.first_token:g} s")

    def progressed(self, *, complete: bool) -> None:
        """Something came: from now on the next is due."""
        if complete:
            self.allow(CLOSING_SECONDS, "")
        else:
            self.allow(self.times.between_tokens, f"sent nothing for {self.times.between_tokens:g} s")

    def allow(self, seconds: float, why: str) -> None:
        """Be patient for so long, but never beyond the deadline."""
        self._until, self._why = min(self._loop.time() + seconds, self._deadline), why

    def waiting(self) -> asyncio.Timeout:
        """The time-out for the next wait."""
        return asyncio.timeout_at(self._until)

    def ran_out(self) -> PenstockError:
        """The error to raise: the deadline's, where that came first."""
        if self._until >= self._deadline:
            return DeadlinePassed()
        return EngineTimedOut(f"the model's engine {self._why}")

    async def read(self, content: aiohttp.StreamReader, *, complete: bool = False) -> bytes:
        """The next bytes; none at the end. An answer that is `complete` may end in any way."""
        try:
            with translated(self.times):
                async with self.waiting():
                    return await content.readany()
        except TimeoutError as error:
            if complete:
                return b""
            raise self.ran_out() from error
        except EngineCut:
            if complete:
                return b""
            raise

    async def read_some(self, content: aiohttp.StreamReader, most: int) -> bytes:
        """As much of a body as comes within two seconds, `most` bytes of it, however it ends."""
        body = bytearray()
        self.allow(EXPLAINING_SECONDS, "did not explain its refusal")
        with contextlib.suppress(EngineCut, EngineGarbled, EngineTimedOut, DeadlinePassed):
            while len(body) < most and (data := await self.read(content)):
                body += data
        return bytes(body[:most])

    async def read_all(self, content: aiohttp.StreamReader, most: int) -> bytes:
        """The whole body. Raises EngineGarbled where it is longer than `most` bytes."""
        body = bytearray()
        while data := await self.read(content):
            body += data
            if len(body) > most:
                raise EngineGarbled(f"the model's engine answered with more than {most >> 20} MB")
        return bytes(body)
