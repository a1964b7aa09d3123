"""Collects a service's handlers; knows nothing of a bus."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from penstock_common.contracts.base import Contract

Handler = Callable[..., Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Registration:
    """One handler: the contract it takes, and whether it takes them in batches or dead."""

    contract: type[Contract]
    handler: Handler
    size: int = 0
    within_ms: int = 0
    dead: bool = False

    @property
    def name(self) -> str:
        """The handler's name, as the topology's consumer row has it."""
        return self.handler.__name__


@dataclass
class Router:
    """The handlers of one service, by decorator. Everything else comes from the topology table."""

    service: str
    registrations: list[Registration] = field(default_factory=list)

    def on(self, contract: type[Contract]) -> Callable[[Handler], Handler]:
        """Handle one message: `async def handler(message, deps)`."""
        return self._register(lambda f: Registration(contract, f))

    def on_batch(self, contract: type[Contract], *, size: int, within_ms: int) -> Callable[[Handler], Handler]:
        """Handle up to `size` messages at once: `async def handler(messages, deps)`."""
        return self._register(lambda f: Registration(contract, f, size=size, within_ms=within_ms))

    def on_dead(self, contract: type[Contract]) -> Callable[[Handler], Handler]:
        """Tell the owner of a buried command: `async def handler(letter: DeadLetter, deps)`.

        The handler is named `<command handler>_dead`.
        """
        return self._register(lambda f: Registration(contract, f, dead=True))

    def _register(self, make: Callable[[Handler], Registration]) -> Callable[[Handler], Handler]:
        def register(func: Handler) -> Handler:
            self.registrations.append(make(func))
            return func

        return register


def bind(handler: Handler, deps: Any) -> Callable[[Any], Awaitable[None]]:
    """A handler with its dependencies given."""

    async def call(message: Any) -> None:
        await handler(message, deps)

    return call
