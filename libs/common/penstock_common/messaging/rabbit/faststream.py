"""FastStream on our connection: its parsing and injection, our pulling, settling and stopping."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

from faststream import BaseMiddleware
from faststream._internal.broker import BrokerUsecase
from faststream._internal.endpoint.subscriber import SubscriberUsecase
from faststream.message import StreamMessage
from faststream.middlewares import AckPolicy
from faststream.rabbit import QueueType, RabbitBroker, RabbitQueue

from penstock_common.messaging.delivery import Delivery
from penstock_common.messaging.envelope import opened
from penstock_common.messaging.ports import Bound, Incoming, Subscription

if TYPE_CHECKING:
    from penstock_common.messaging.rabbit.bus import RabbitBus


def front(bus: "RabbitBus", bounds: Sequence[Bound], delivery: Delivery) -> "RabbitFront":
    """A broker with one subscriber per lane, settled by `delivery` alone."""
    return RabbitFront(bus, bounds, delivery)


class BorrowingBroker(RabbitBroker):
    """Opens no connection of its own: its recovery cancels running handlers, and waits for ever for a lost queue."""

    async def start(self) -> None:
        """Make the subscribers ready; messages are handed to them."""
        self._setup_logger()
        await BrokerUsecase.start(self)

    async def stop(self, *exception: Any) -> None:
        """Stop the subscribers."""
        await BrokerUsecase.stop(self, *exception)


class RabbitFront:
    """FastStream's broker, fed by our pull."""

    def __init__(self, bus: "RabbitBus", bounds: Sequence[Bound], delivery: Delivery) -> None:
        self._bus, self._pulls = bus, list[Subscription]()
        self._broker = BorrowingBroker(
            middlewares=(_middleware(delivery),), logger=None, apply_types=False, graceful_timeout=1
        )
        self._subscribers = [(bound, self._subscriber(bound)) for bound in bounds]

    def _subscriber(self, bound: Bound) -> Any:
        lane = bound.lane
        subscriber = self._broker.subscriber(
            RabbitQueue(lane.name, QueueType.QUORUM, declare=False),
            ack_policy=AckPolicy.MANUAL,
            no_reply=True,
            title=lane.name,
            parser=_parse,
            decoder=_decoder(bound),
        )
        subscriber(bound.call)

        async def start() -> None:  # it would declare and consume here
            await SubscriberUsecase.start(subscriber)
            subscriber._post_start()

        subscriber.start = start  # type: ignore[method-assign]
        return subscriber

    async def start(self) -> None:
        """Begin to receive."""
        await self._broker.start()
        for bound, subscriber in self._subscribers:
            self._pulls.append(await self._bus.pull(bound.lane, subscriber.consume))

    async def stop_receiving(self) -> None:
        """Receive no more; what has arrived has begun."""
        await asyncio.gather(*(pull.stop() for pull in self._pulls))

    async def stop(self) -> None:
        """Release what the broker holds, after its deliveries have ended."""
        await self._broker.stop()


async def _parse(message: Incoming) -> StreamMessage[Incoming]:
    return StreamMessage(
        raw_message=message, body=message.body, headers=dict(message.headers), message_id=message.message_id
    )


def _decoder(bound: Bound) -> Callable[[StreamMessage[Incoming]], Awaitable[Any]]:
    async def decode(message: StreamMessage[Incoming]) -> Any:
        return opened(message.raw_message, bound.contract)

    return decode


def _middleware(delivery: Delivery) -> type[BaseMiddleware[Any, Any]]:
    class Settling(BaseMiddleware[Any, Any]):
        """Outermost: sees every error, and settles instead of FastStream."""

        async def consume_scope(self, call_next: Callable[[Any], Any], msg: StreamMessage[Incoming]) -> Any:
            message = msg.raw_message

            async def call(_: Incoming) -> None:
                await call_next(msg)

            await delivery.run(call, message, message.raw.lane)

    return Settling
