"""Breaks what clients of api are told."""

import itertools
from collections import deque
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

from penstock_api.domain.answer import Answer
from penstock_common.contracts.stream import Delta

EVERY = 100
"""Pieces of which one is mutated."""


def mutate(change: Callable[[Delta], list[Delta]]) -> None:
    """From now on one piece in a hundred is what `change` makes of it."""
    take, numbers = Answer.take, itertools.count(1)
    waiting = WeakKeyDictionary[Answer, deque[Any]]()

    def taking(self: Answer) -> Any:
        queue = waiting.setdefault(self, deque())
        if queue:
            return queue.popleft()
        piece = take(self)
        if isinstance(piece, Delta) and next(numbers) % EVERY == 0:
            queue.extend(change(piece))
            return taking(self)
        return piece

    Answer.take = taking  # type: ignore[method-assign]
