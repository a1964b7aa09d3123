"""A message to one consumer alone: said again to it, without the others hearing."""

from dataclasses import replace

from penstock_common.messaging.deadletter import PREFIX
from penstock_common.messaging.envelope import MESSAGE_ID, ORIGINAL
from penstock_common.messaging.ports import Outgoing
from penstock_common.messaging.topology import Consumer

MOVED = (PREFIX, "nats-")
"""Headers of a message's earlier life: a new one begins without its attempts."""


def addressed(message: Outgoing, lane: Consumer, act_id: str) -> Outgoing:
    """The same message to a main lane alone. The lane's inbox still decides by its `ce-id`.

    Raises ValueError for a derived lane, which has no address.
    """
    if not lane.is_main:
        raise ValueError(f"{lane.name} can't be addressed, {lane.base} can")
    headers = {name: value for name, value in message.headers.items() if not name.startswith(MOVED)}
    headers.setdefault(ORIGINAL, message.subject)
    return replace(again(message, act_id), subject=lane.address, stream=lane.topic.stream, headers=headers)


def again(message: Outgoing, act_id: str) -> Outgoing:
    """The same message under the id `<ce-id>:<act id>`: a bus that remembers the first one takes this one too."""
    return replace(message, message_id=f"{message.headers.get(MESSAGE_ID, message.message_id)}:{act_id}")
