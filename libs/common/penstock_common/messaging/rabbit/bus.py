"""The bus on RabbitMQ."""

import contextlib
from collections.abc import Container, Sequence

from penstock_common.errors import PenstockError
from penstock_common.messaging.delivery import Delivery
from penstock_common.messaging.packs import Packs, packed_size
from penstock_common.messaging.ports import Bound, Deliver, Front, Outgoing, Receive, Subscription, Take
from penstock_common.messaging.rabbit import wire
from penstock_common.messaging.rabbit.ephemeral import Answer, Asker, Listen, Listening, answering, inbox, inbox_key
from penstock_common.messaging.rabbit.link import OPEN_TIMEOUT, Link, unavailable
from penstock_common.messaging.rabbit.publishing import Letter, Publisher, Sender
from penstock_common.messaging.rabbit.pull import Pull
from penstock_common.messaging.rabbit.pulse import Pulse
from penstock_common.messaging.rabbit.settler import RabbitSettler
from penstock_common.messaging.rabbit.topology import missing
from penstock_common.messaging.tasks import in_tasks
from penstock_common.messaging.topology import DEAD_LETTERS, ONLY, QUARANTINE, Consumer, Topic, Topology
from penstock_common.tracing.messages import asking, sending

NEEDING = ("cmd.", ONLY)
"""A command needs its consumer's queue, and so does what is for one consumer alone."""
SET_APART = (DEAD_LETTERS.name, QUARANTINE.name)


class RabbitBus:
    """One process's connection to RabbitMQ, with a channel for each purpose."""

    def __init__(self, url: str, name: str, consumed: Container[str] = ()) -> None:
        """`consumed` are the events that need a queue as commands do; others may have none."""
        self.url, self._consumed = url, consumed
        self.link, self.pulse = Link(url, name), Pulse()
        # Apart, because a broker that has no room for what is published stops reading that connection: acks too.
        self._lanes = Link(url, f"{name} lanes")
        self._publisher, self._sender, self._asker = Publisher(self.link), Sender(self.link), Asker(self.link)
        self._packs = Packs(self._leave)
        self.settler = RabbitSettler(self._publisher, self.pulse)

    @property
    def connected(self) -> bool:
        """Whether messages can leave, and what listens and answers here hears them; lanes apart."""
        return self.link.usable and self._lanes.connected

    async def connect(self) -> None:
        """Connect; keeps reconnecting by itself afterwards. Raises BusUnavailable if it can't be reached now."""
        for link in (self.link, self._lanes):
            await link.connect()
        self.pulse.start()
        for channel in (self._publisher, self._sender, self._asker):
            await channel.start()

    async def close(self) -> None:
        """Flush what was sent, and disconnect."""
        self._packs.flush()
        for channel in (self._asker, self._sender, self._publisher):
            await channel.stop()
        self.pulse.stop()
        for link in (self._lanes, self.link):
            await link.close()

    async def publish(self, message: Outgoing, timeout: float = 2.0) -> None:
        """Store durably; returns once every queue of the subject confirmed. Raises BusUnavailable."""
        with sending(message) as leaving:
            await self._publisher.publish(self._letter(leaving), timeout)

    async def publish_all(self, messages: Sequence[Outgoing], timeout: float = 2.0) -> Sequence[PenstockError | None]:
        """Store several; gives, for each, why it was not confirmed."""
        with contextlib.ExitStack() as spans:
            leaving = [self._letter(spans.enter_context(sending(message))) for message in messages]
            return await self._publisher.publish_all(leaving, timeout)

    def _letter(self, message: Outgoing) -> Letter:
        routed = message.subject.startswith(NEEDING) or message.subject in self._consumed
        properties = wire.persistent(message.message_id, message.headers)
        exchange = wire.DEAD if message.stream in SET_APART else wire.EVENTS
        return Letter(exchange, message.subject, message.body, properties, routed or exchange == wire.DEAD)

    def send(self, process: str, key: str, body: bytes) -> None:
        """Best effort, in order, to a process's inbox. Raises BusUnavailable if surely lost, MessageTooLarge."""
        self._sender.require_room(packed_size(key, body))
        self._packs.add(process, key, body)

    def _leave(self, process: str, pack: bytes) -> None:
        self._sender.send(wire.INBOXES, inbox_key(process), pack, wire.Properties(delivery_mode=wire.TRANSIENT))

    async def receive(self, process: str, receive: Receive) -> Subscription:
        """Open this process's inbox."""
        held = inbox(self.link, process, receive)
        await held.start()
        return held

    async def query(self, topic: Topic, body: bytes, timeout: float) -> bytes:
        """Ask the first process that answers. Raises NoAnswer after `timeout` seconds."""
        with asking(topic) as headers:
            return await self._asker.ask(topic, body, timeout, headers)

    async def answer(self, topic: Topic, answer: Answer, *, everyone: bool = False) -> Subscription:
        """Answer queries: one process of the service each, or with `everyone` all of them hear it; None is silence."""
        held = answering(self.link, self._sender, topic, answer, everyone=everyone)
        await held.start()
        return held

    async def broadcast(self, topic: Topic, body: bytes) -> None:
        """Tell every process that listens now; nothing is stored."""
        self._sender.send(wire.EVENTS, topic.subject, body, wire.Properties(delivery_mode=wire.TRANSIENT))

    async def listen(self, topic: Topic, listener: Listen) -> Subscription:
        """Hear every message of a topic published from now on, stored or not, in this process too."""
        listening = Listening(self.link, topic, listener)
        await listening.start()
        return listening

    async def missing(self, lanes: Sequence[Consumer]) -> list[str]:
        """The names of lanes that don't exist on the server. Raises BusUnavailable."""
        async with unavailable(OPEN_TIMEOUT):
            connection = await self.link.ready()
        return await missing(connection, lanes)

    async def guard(self, topology: Topology) -> Subscription:
        """Nothing to do: RabbitMQ itself buries what ran out of deliveries."""
        return Nothing()

    async def forget(self, lanes: Sequence[Consumer]) -> None:
        """Nothing to do: a queue keeps nothing that was acknowledged."""

    def front(self, bounds: Sequence[Bound], delivery: Delivery) -> Front:
        """FastStream for these lanes: one subscriber each, settled by `delivery` alone."""
        from penstock_common.messaging.rabbit.faststream import front  # noqa: PLC0415 (only where it is used)

        return front(self, bounds, delivery)

    async def pull(self, lane: Consumer, deliver: Deliver) -> Subscription:
        """Receive a durable lane on the plain client, each delivery in a task, at most `lane.prefetch` at once."""
        return await self.take(lane, in_tasks(deliver))

    async def take(self, lane: Consumer, take: Take) -> Subscription:
        """The same, but without tasks."""
        pull = Pull(self._lanes, self.pulse, lane, take)
        await pull.start()
        return pull


class Nothing:
    """A subscription to nothing."""

    async def stop(self) -> None:
        """Nothing to stop."""
