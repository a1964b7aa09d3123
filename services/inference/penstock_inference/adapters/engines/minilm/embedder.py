"""Vectors of texts from an embedding process that is begun at its first use, and begun anew when it dies."""

import asyncio
from collections.abc import Sequence

import structlog

from penstock_inference.adapters.engines.minilm.frames import Ask, TooLong, Vectors
from penstock_inference.adapters.engines.minilm.process import (
    CHILD,
    IDLE_SECONDS,
    PATIENCE_SECONDS,
    Child,
    Died,
)
from penstock_inference.domain.errors import EngineFailed, EngineOverloaded, EngineUnreachable

log = structlog.get_logger()

FOR_PEOPLE = (*CHILD, "2")
"""Where somebody waits: it gives way to chats a little."""
FOR_DOCUMENTS = (*CHILD, "10")
"""In the background: it takes what time the processor has left."""
TRIES = 3
MOST_WAITING = 16_384  # texts; more than that would wait for minutes


class Embedder:
    """One process at a time. A question whose process dies is asked again of the next one."""

    def __init__(
        self, command: Sequence[str] = FOR_PEOPLE, patience: float = PATIENCE_SECONDS, idle: float = IDLE_SECONDS
    ) -> None:
        self.command, self.patience, self.idle = command, patience, idle
        self._child: Child | None = None
        self._beginning = asyncio.Lock()
        self._texts = 0
        self._closed = False

    @property
    def pid(self) -> int | None:
        """The process that lives now."""
        return self._child.process.pid if self._child and not self._child.is_over else None

    async def embed(self, ask: Ask) -> Vectors | TooLong:
        """The vectors. Raises EngineOverloaded, and EngineFailed where three processes died of it."""
        if self._texts and self._texts + len(ask.texts) > MOST_WAITING:
            raise EngineOverloaded(f"{self._texts} texts wait to be embedded already; try again shortly")
        self._texts += len(ask.texts)
        try:
            return await self._tried(ask)
        finally:
            self._texts -= len(ask.texts)

    async def close(self) -> None:
        """End the process, and begin no other."""
        self._closed = True
        if self._child:
            await self._child.end()

    async def _tried(self, ask: Ask) -> Vectors | TooLong:
        for _ in range(TRIES):
            try:
                return await (await self._living()).ask(ask)
            except Died:
                log.warning("embedder.died", texts=len(ask.texts))
        raise EngineFailed(f"the embedding process died {TRIES} times over this: send fewer texts, or see its log")

    async def _living(self) -> Child:
        async with self._beginning:
            if self._closed:
                raise EngineUnreachable
            if self._child is None or self._child.is_over:
                if self._child:
                    await self._child.end()
                self._child = await Child.begin(self.command, self.patience, self.idle)
            return self._child
