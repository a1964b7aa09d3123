"""`GenerateText` and its kin as messages."""

import msgspec

from penstock_common.contracts.generation import GenerateText
from penstock_common.ids import text_of
from penstock_common.messaging.envelope import Context, envelop
from penstock_common.messaging.ports import Outgoing
from penstock_common.topology import PLATFORM


def outgoing_of(command: GenerateText, traceparent: str = "") -> Outgoing:
    """The command as a message. Its id is that of the request: however often it is published, it is one."""
    request_id = text_of(command.request_id)
    context = Context(correlation=request_id, traceparent=traceparent)
    return envelop(command, PLATFORM.topic(type(command)), message_id=f"{request_id}.generate", context=context)


def republished(command: GenerateText, traceparent: str = "") -> Outgoing:
    """The same command once more, marked: whoever gets it first asks whether it is under way."""
    return outgoing_of(msgspec.structs.replace(command, republished=True), traceparent)
