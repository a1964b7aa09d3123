"""Waits for an engine's next bytes, and says which patience ran out."""

import asyncio

import aiohttp

from penstock_inference.adapters.engines.session import EngineTimes, translated
from penstock_inference.domain.errors import EngineCut, EngineGarbled, EngineTimedOut

CLOSING_SECONDS = 2.0  # for counts and [DONE] after the last choice has finished


class Watch:
    """The patience of one call."""

    def __init__(self, times: EngineTimes, seconds_left: float) -> None:
        if seconds_left <= 0:
            raise EngineTimedOut("the request's deadline passed before its engine was called")
        self._loop = asyncio.get_running_loop()
        self.times = times
        self._deadline = self._loop.time() + seconds_left
        self._why = ""
        self._until = 0.0
        self.allow(seconds_left, "did not answer before the request's deadline")

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
        self._until, self._why = self._loop.time() + seconds, why
        if self._until >= self._deadline:
            self._until, self._why = self._deadline, "did not finish before the request's deadline"

    def waiting(self) -> asyncio.Timeout:
        """The time-out for the next wait."""
        return asyncio.timeout_at(self._until)

    def ran_out(self) -> EngineTimedOut:
        """The error to raise."""
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

    async def read_all(self, content: aiohttp.StreamReader, most: int) -> bytes:
        """The whole body. Raises EngineGarbled where it is longer than `most` bytes."""
        body = bytearray()
        while data := await self.read(content):
            body += data
            if len(body) > most:
                raise EngineGarbled(f"the model's engine answered with more than {most >> 20} MB")
        return bytes(body)
