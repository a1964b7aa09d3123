"""CloudEvents 1.0 attributes as headers, and what else travels beside a body."""

from collections.abc import Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from uuid import UUID

import msgspec

from penstock_common.contracts.base import C, Contract, Wire, decode, encode
from penstock_common.errors import ContractViolated
from penstock_common.ids import text_of, uuid7
from penstock_common.messaging.ports import Incoming, Outgoing
from penstock_common.messaging.topology import Topic

FINGERPRINT = "penstock-fingerprint"
TENANT = "penstock-tenant"
CORRELATION = "penstock-correlation"
CAUSATION = "penstock-causation"
TRACEPARENT = "traceparent"
ORIGINAL = "penstock-subject"
"""The topic's subject, on a message that is addressed to one consumer."""
REPLAY = "penstock-replay"
"""The act by which a message is said again."""
EFFECTS = "penstock-effects"
"""`allow` where a replayed message may have effects outside of the platform once more."""
ALLOW = "allow"
MESSAGE_ID = "ce-id"
CONTENT_TYPE = "content-type"
WIRES = {wire.value: wire for wire in Wire}


class Context(msgspec.Struct, frozen=True):
    """What a message inherits from the one that caused it."""

    tenant: str = ""
    correlation: str = ""
    causation: str = ""
    traceparent: str = ""
    replay: str = ""
    effects: str = ""

    @property
    def effects_allowed(self) -> bool:
        """Whether what follows may reach outside of the platform: not where it only happens again."""
        return not self.replay or self.effects == ALLOW

    def within(self, traceparent: str) -> "Context":
        """The same in another span."""
        return msgspec.structs.replace(self, traceparent=traceparent)

    @classmethod
    def of(cls, headers: Mapping[str, str]) -> "Context":
        """The context that messages caused by this one carry."""
        return cls(
            tenant=headers.get(TENANT, ""),
            correlation=headers.get(CORRELATION, ""),
            causation=headers.get(MESSAGE_ID, ""),
            traceparent=headers.get(TRACEPARENT, ""),
            replay=headers.get(REPLAY, ""),
            effects=headers.get(EFFECTS, ""),
        )


def inherited(message: Incoming) -> Context:
    """The context that messages caused by a delivery carry, in the span that handles it."""
    context = Context.of(message.headers)
    return context.within(message.traceparent) if message.traceparent else context


CONTEXT: ContextVar[Context] = ContextVar("penstock_context", default=Context())  # noqa: B039 (frozen)


def envelop(
    message: Contract, topic: Topic, *, message_id: str = "", context: Context | None = None, source: str = ""
) -> Outgoing:
    """A contract as a message ready to go. The id defaults to a new uuid7; ids must begin with one."""
    cause = context or CONTEXT.get()
    id_ = message_id or str(uuid7())
    headers = {
        "ce-specversion": "1.0",
        MESSAGE_ID: id_,
        "ce-type": f"penstock.{topic.subject}",
        "ce-source": f"penstock/{source or topic.owner}",
        "ce-time": datetime.now(UTC).isoformat(),
        "ce-subject": subject_of(message),
        CONTENT_TYPE: topic.wire.value,
        FINGERPRINT: message.fingerprint(),
    }
    tenant = getattr(message, "tenant", None)
    optional = {
        TENANT: text_of(tenant) if isinstance(tenant, UUID) else cause.tenant,
        CORRELATION: cause.correlation or headers["ce-subject"],
        CAUSATION: cause.causation,
        TRACEPARENT: cause.traceparent,
        REPLAY: cause.replay,
        EFFECTS: cause.effects,
    }
    headers |= {name: value for name, value in optional.items() if value}
    return Outgoing(topic.subject, topic.stream, id_, headers, encode(message, topic.wire))


def subject_of(message: Contract) -> str:
    """The id of what a message is about: its request, run or document, else its schedule, key or model."""
    for name in ("request_id", "run_id", "document_id", "schedule_id", "key_id", "name"):
        if (value := getattr(message, name, None)) is not None:
            if isinstance(value, UUID):
                return text_of(value)
            return str(value).encode("ascii", "backslashreplace").decode()
    return type(message).__name__


def opened(message: Incoming, contract: type[C]) -> C:
    """A delivery's body as its contract. Raises ContractViolated."""
    written = message.headers.get(CONTENT_TYPE, Wire.JSON.value)
    wire = WIRES.get(written)
    if wire is None:
        raise ContractViolated(f"unknown content type {written!r}")
    return decode(contract, message.body, wire)
