"""FastStream on our connection: its parsing and injection, our pulling, settling and stopping."""

import asyncio
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from faststream import BaseMiddleware
from faststream._internal.broker import BrokerUsecase
from faststream.message import StreamMessage
from faststream.middlewares import AckPolicy
from faststream.nats import JStream, NatsBroker, PullSub
from nats.aio.client import Client
from nats.aio.msg import Msg

from penstock_common.messaging.delivery import Delivery
from penstock_common.messaging.envelope import opened
from penstock_common.messaging.ports import Bound, Incoming, Subscription

if TYPE_CHECKING:
    from penstock_common.messaging.nats.bus import NatsBus

CURRENT: ContextVar[tuple[Incoming, Bound]] = ContextVar("penstock_nats_current")


def front(bus: "NatsBus", bounds: Sequence[Bound], delivery: Delivery) -> "NatsFront":
    """A broker with one subscriber per lane, settled by `delivery` alone."""
    return NatsFront(bus, bounds, delivery)


class BorrowingBroker(NatsBroker):
    """Runs on a connection that somebody else opens and closes."""

    borrowed: Client

    async def _connect(self) -> Client:
        self.config.connect(self.borrowed)
        return self.borrowed

    async def stop(self, *exception: Any) -> None:
        """Stop the subscribers; the connection stays."""
        await BrokerUsecase.stop(self, *exception)
        self._connection = None
        self.config.disconnect()


class NatsFront:
    """FastStream's broker, fed by our pull: its own over-fetches and may create consumers."""

    def __init__(self, bus: "NatsBus", bounds: Sequence[Bound], delivery: Delivery) -> None:
        self._bus, self._pulls = bus, list[Subscription]()
        self._broker = BorrowingBroker(
            middlewares=(_middleware(delivery),), logger=None, apply_types=False, graceful_timeout=1
        )
        self._subscribers = [(bound, self._subscriber(bound)) for bound in bounds]

    def _subscriber(self, bound: Bound) -> Any:
        subscriber = self._broker.subscriber(
            bound.lane.topic.subject,
            durable=bound.lane.name,
            stream=JStream(bound.lane.topic.stream, declare=False),
            pull_sub=PullSub(),
            ack_policy=AckPolicy.MANUAL,
            no_reply=True,
            title=bound.lane.name,
            decoder=_decode,
        )
        subscriber(bound.call)
        # It would begin to receive here, before it is running, and drop what comes meanwhile.
        setattr(subscriber, "_create_subscription", _nothing)  # noqa: B010 (mypy forbids replacing a method)
        return subscriber

    async def start(self) -> None:
        """Begin to receive."""
        self._broker.borrowed = self._bus.connection.client
        await self._broker.start()
        for bound, subscriber in self._subscribers:
            self._pulls.append(await self._bus.pull(bound.lane, self._consume(bound, subscriber)))

    def _consume(self, bound: Bound, subscriber: Any) -> Callable[[Incoming], Any]:
        client = self._bus.connection.client

        async def consume(message: Incoming) -> None:
            CURRENT.set((message, bound))
            headers = dict(message.headers)
            await subscriber.consume(Msg(client, message.subject, message.raw, message.body, headers))

        return consume

    async def stop_receiving(self) -> None:
        """Receive no more; what was received but not begun is handed back."""
        await asyncio.gather(*(pull.stop() for pull in self._pulls))

    async def stop(self) -> None:
        """Release what the broker holds, after its deliveries have ended."""
        await self._broker.stop()


async def _nothing() -> None:
    pass


async def _decode(_: StreamMessage[Any]) -> Any:
    message, bound = CURRENT.get()
    return opened(message, bound.contract)


def _middleware(delivery: Delivery) -> type[BaseMiddleware[Any, Any]]:
    class Settling(BaseMiddleware[Any, Any]):
        """Outermost: sees every error, and settles instead of FastStream."""

        async def consume_scope(self, call_next: Callable[[Any], Any], msg: StreamMessage[Any]) -> Any:
            message, bound = CURRENT.get()

            async def call(_: Incoming) -> None:
                await call_next(msg)

            await delivery.run(call, message, bound.lane)

    return Settling
