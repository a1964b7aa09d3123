"""Publishes whose acknowledgements are waited for, many under one time limit."""

import asyncio
import itertools
from collections.abc import Sequence

from penstock_common.errors import BusUnavailable, PenstockError


class Expected:
    """The answers to some publishes, by their place."""

    __slots__ = ("_left", "_ready", "errors")

    def __init__(self, count: int) -> None:
        self.errors: list[PenstockError | None] = [None] * count
        """Why each was not stored; None where it was."""
        self._left = count
        self._ready = asyncio.get_running_loop().create_future()

    def tell(self, place: int, error: PenstockError | None) -> None:
        """An answer, once each."""
        self.errors[place] = error
        self._left -= 1
        if not self._left and not self._ready.done():
            self._ready.set_result(None)

    async def wait(self) -> Sequence[PenstockError | None]:
        """All answers."""
        await self._ready
        return self.errors


class Answers:
    """What is expected now, by the key that the answer will carry."""

    def __init__(self) -> None:
        self._waiting: dict[str, tuple[Expected, int]] = {}
        self._numbers = itertools.count()

    def expect(self, expected: Expected, place: int) -> str:
        """The key of one answer."""
        key = str(next(self._numbers))
        self._waiting[key] = expected, place
        return key

    def tell(self, key: str, error: PenstockError | None = None) -> None:
        """An answer came; one that nobody waits for any more is ignored."""
        if found := self._waiting.pop(key, None):
            found[0].tell(found[1], error)

    def forget(self, keys: Sequence[str]) -> None:
        """Nobody waits for these any more."""
        for key in keys:
            self._waiting.pop(key, None)

    def give_up(self, keys: Sequence[str], reason: str) -> None:
        """No answer will come for these."""
        for key in keys:
            if key in self._waiting:
                self.tell(key, BusUnavailable(reason))

    def give_up_all(self, reason: str) -> None:
        """No answer will come for any."""
        self.give_up(list(self._waiting), reason)
