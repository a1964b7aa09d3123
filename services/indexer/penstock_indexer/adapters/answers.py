"""Indexer's answers to queries."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from penstock_common.contracts.base import Contract, decode, encode
from penstock_common.messaging.topology import Topic

Q = TypeVar("Q", bound=Contract)
A = TypeVar("A", bound=Contract)


Answer = Callable[[bytes], Awaitable[bytes]]


def answering(topic: Topic, contract: type[Q], answer: Callable[[Q], Awaitable[A]]) -> Answer:
    """What is given to the bus to answer a query."""

    async def answered(body: bytes) -> bytes:
        return encode(await answer(decode(contract, body, topic.wire)), topic.wire)

    return answered
