"""CloudEvents as headers."""

from datetime import datetime

import pytest

from penstock_common.contracts.base import Wire
from penstock_common.errors import ContractViolated
from penstock_common.messaging.envelope import CONTEXT, Context, envelop, opened
from penstock_common.messaging.ports import Incoming, Outgoing
from penstock_common.messaging.topology import Topic
from tests.unit.messaging.fakes import COUNTED, Counted


def arrived(message: Outgoing, **headers: str) -> Incoming:
    """A message on the other side."""
    return Incoming(message.subject, message.message_id, {**message.headers, **headers}, message.body, None)


def test_every_attribute_is_there() -> None:
    """CloudEvents 1.0's required ones, and the fingerprint."""
    message = envelop(Counted(n=1), COUNTED, source="relay")
    headers = message.headers
    assert headers["ce-specversion"] == "1.0"
    assert (headers["ce-id"], headers["ce-type"]) == (message.message_id, "penstock.test.thing.counted.v1")
    assert headers["ce-source"] == "penstock/relay"
    assert datetime.fromisoformat(headers["ce-time"]).tzinfo
    assert headers["penstock-fingerprint"] == Counted(n=1).fingerprint()


def test_what_a_message_causes_names_it() -> None:
    """Causation, correlation, tenant and trace go on."""
    cause = {"ce-id": "c", "penstock-correlation": "r", "penstock-tenant": "t", "traceparent": "00-1-2-01"}
    token = CONTEXT.set(Context.of(cause))
    headers = envelop(Counted(n=1), COUNTED).headers
    CONTEXT.reset(token)
    assert [headers[f"penstock-{n}"] for n in ("causation", "correlation", "tenant")] == ["c", "r", "t"]
    assert headers["traceparent"] == "00-1-2-01"


@pytest.mark.parametrize("wire", list(Wire))
def test_a_message_opens_as_it_was_closed(wire: Wire) -> None:
    """In either wire format, as its header says."""
    topic = Topic("test.thing.counted.v1", Counted, "test", stream="TEST", wire=wire)
    assert opened(arrived(envelop(Counted(n=7), topic)), Counted) == Counted(n=7)


def test_an_unknown_content_type_is_a_violation() -> None:
    """Not a bug to be tried again."""
    with pytest.raises(ContractViolated, match="text/xml"):
        opened(arrived(envelop(Counted(n=7), COUNTED), **{"content-type": "text/xml"}), Counted)
