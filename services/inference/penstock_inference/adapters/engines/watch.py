"""Waits for an engine's next bytes, and says which patience ran out."""

import asyncio
import contextlib
from typing import Self

from penstock_common.errors import PenstockError
from penstock_inference.adapters.engines.http.exchange import Exchange
from penstock_inference.adapters.engines.times import EngineTimes
from penstock_inference.domain.ending import DeadlinePassed
from penstock_inference.domain.errors import EngineCut, EngineGarbled, EngineTimedOut
from penstock_inference.generating.alarms import Alarms

EXPLAINING_SECONDS = 2.0  # for the body of a refusal, whose status says enough without it
ENDED = (EngineCut, EngineTimedOut, DeadlinePassed)
"""How the body of an answer may end that is complete already."""
CLOSING_SECONDS = 2.0  # for counts and [DONE] after the last choice has finished
DRAIN_SECONDS = 0.05  # for the end of the body after [DONE], so that the connection can be used again


class Watch:
    """The patience of one call: one alarm, which is only moved."""

    def __init__(self, alarms: Alarms, times: EngineTimes, seconds_left: float) -> None:
        if seconds_left <= 0:
            raise DeadlinePassed
        self._now = asyncio.get_running_loop().time
        self.times = times
        self._deadline = self.until = self._now() + seconds_left
        """`until`, by the loop's time: when it is over with the patience."""
        self._why, self._patience = "", seconds_left
        self._alarms = alarms
        self._exchange: Exchange | None = None

    def __enter__(self) -> Self:
        """For the length of a block, fail what it is over when the patience runs out."""
        self._alarm = self._alarms.set(self.until, self._ring)
        return self

    def __exit__(self, *_: object) -> None:
        """Watch no more."""
        self._alarm.cancel()

    def over(self, exchange: Exchange) -> None:
        """From now on it is this that is waited for."""
        self._exchange = exchange
        if self._now() >= self.until:
            self._ring()

    def await_first_token(self) -> None:
        """From now on the first token is due."""
        self.allow(self.times.first_token, "sent no first token within {:g} s")

    def progressed(self, *, complete: bool) -> None:
        """Something came: from now on the next is due."""
        if complete:
            self.allow(CLOSING_SECONDS, "")
        else:
            self.allow(self.times.between_tokens, "sent nothing for {:g} s")

    def allow(self, seconds: float, why: str) -> None:
        """Be patient for so long, but never beyond the deadline; `why` may name the seconds as `{:g}`."""
        self.until = min(self._now() + seconds, self._deadline)
        self._why, self._patience = why, seconds
        self._alarm.move(self.until)

    def ran_out(self) -> PenstockError:
        """The error to raise: the deadline's, where that came first."""
        if self.until >= self._deadline:
            return DeadlinePassed()
        return EngineTimedOut(f"the model's engine {self._why.format(self._patience)}")

    def _ring(self) -> None:
        if self._exchange:
            self._exchange.fail(self.ran_out())


async def read_some(exchange: Exchange, watch: Watch, most: int) -> bytes:
    """As much of a body as comes within two seconds, `most` bytes of it, however it ends."""
    body = bytearray()
    watch.allow(EXPLAINING_SECONDS, "did not explain its refusal")
    with contextlib.suppress(EngineGarbled, *ENDED):
        while len(body) < most and (data := await exchange.read()):
            body += data
    return bytes(body[:most])


async def read_all(exchange: Exchange, most: int) -> bytes:
    """The whole body. Raises EngineGarbled where it is longer than `most` bytes."""
    parts, size = list[bytes](), 0
    while data := await exchange.read():
        parts.append(data)
        size += len(data)
        if size > most:
            raise EngineGarbled(f"the model's engine answered with more than {most >> 20} MB")
    return b"".join(parts)


async def drained(exchange: Exchange) -> None:
    """Wait a moment for the end of the body; who sends more than blank lines after the answer is not read."""
    if exchange.is_over:
        return
    exchange.hurry()
    with contextlib.suppress(TimeoutError, PenstockError):
        async with asyncio.timeout(DRAIN_SECONDS):
            while (data := await exchange.read()) and not data.strip():
                continue
