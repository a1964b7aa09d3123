"""Questions that many ask at the same time, asked together."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextvars import Context
from itertools import islice
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")
Ask = Callable[[Sequence[K]], Awaitable[Mapping[K, V]]]


class Gathering(Generic[K, V]):
    """A few questions are under way; whoever wants to know something meanwhile shares the next one.

    So nobody waits for company, and the more ask the less each costs.
    """

    def __init__(self, ask: Ask[K, V], *, most: int, at_once: int = 1) -> None:
        self._ask, self._most, self._at_once = ask, most, at_once
        self._waiting: dict[K, asyncio.Future[V | None]] = {}
        self._asking: set[asyncio.Task[None]] = set()

    async def find(self, key: K) -> V | None:
        """What a question says of it that begins after this call; raises what that question raised."""
        answer = self._waiting.get(key)
        if answer is None:
            answer = self._waiting[key] = asyncio.get_running_loop().create_future()
            if len(self._asking) < self._at_once:
                task = asyncio.create_task(self._run(), context=Context())  # it is asked for more than one caller
                self._asking.add(task)
                task.add_done_callback(self._asking.discard)
        return await asyncio.shield(answer)

    async def _run(self) -> None:
        while self._waiting:
            keys = list(islice(self._waiting, self._most))
            await self._settle({key: self._waiting.pop(key) for key in keys})

    async def _settle(self, group: Mapping[K, "asyncio.Future[V | None]"]) -> None:
        try:
            found = await self._ask(list(group))
        except Exception as error:
            for answer in group.values():
                answer.set_exception(error)
        else:
            for key, answer in group.items():
                answer.set_result(found.get(key))
        finally:
            for answer in group.values():
                answer.cancel()  # where this was; a settled one stays as it is
