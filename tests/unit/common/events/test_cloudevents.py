"""Stored events as lines of CloudEvents, and back."""

import json
import re
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock_common.contracts.base import Wire
from penstock_common.errors import ContractViolated
from penstock_common.events.cloudevents import as_line, parse_line
from penstock_common.messaging.envelope import Context, envelop
from penstock_common.messaging.topology import Topic
from penstock_common.topology import PLATFORM
from tests.contract.examples import example
from tests.support.outboxes import BEGIN, an_event

TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
TRACEPARENT = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"
NAMES = st.sampled_from(["penstock-tenant", "penstock-correlation", "traceparent", "ce-subject", "penstock-replay"])


@settings(max_examples=200, deadline=None)
@given(
    body=st.one_of(
        st.binary(max_size=60), st.builds(lambda x: json.dumps(x, indent=1).encode(), TEXT), TEXT.map(str.encode)
    ),
    headers=st.dictionaries(NAMES, TEXT),
    wire=st.sampled_from([*(w.value for w in Wire), "text/plain"]),
    published=st.booleans(),
)
def test_nothing_is_lost(body: bytes, headers: dict[str, str], wire: str, published: bool) -> None:
    """Whatever stands in a row comes back to the byte, and its line holds no line break."""
    said = {**headers, "content-type": wire}
    event = an_event(headers=said, body=body, published_at=BEGIN + timedelta(microseconds=7) if published else None)
    line = as_line(event)
    assert b"\n" not in line
    assert b"\r" not in line
    assert parse_line(line) == event


STORED = [topic for topic in PLATFORM.topics if topic.stream]


@pytest.mark.parametrize("topic", STORED, ids=lambda topic: topic.subject)
def test_every_stored_message_is_a_cloudevent(topic: Topic) -> None:
    """With the attributes that CloudEvents requires; JSON stands as it is, MessagePack as base64."""
    out = envelop(example(topic.contract, every=True), topic, context=Context("t", "c", "m", TRACEPARENT))
    event = an_event(subject=topic.subject, headers=out.headers, body=out.body, message_id=f"{out.message_id}:an-act")
    told = json.loads(as_line(event))
    assert told.keys() >= {"id", "source", "type", "specversion", "time", "subject", "traceparent", "penstockcausation"}
    assert all(re.fullmatch("[a-z0-9]+", name) for name in told if name != "data_base64")
    assert ("data" in told) == (topic.wire is Wire.JSON)
    assert parse_line(as_line(event)) == event


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b'{"outboxrow":"x"}',
        b'{"data":' + b"[" * 5000,
        b'{"id":5}',
        b'{"X":"1","data":1,"outboxrow":"01a2009d-463a-7567-9141-86299c0974c9"}',
        '{"id":"\ud800"}'.encode("utf-8", "surrogatepass"),
    ],
)
def test_what_is_no_line_is_refused(line: bytes) -> None:
    """With one error, whatever it is."""
    with pytest.raises(ContractViolated):
        parse_line(line)


@pytest.mark.parametrize(
    "header", ["data", "ce-data", "ce-outboxrow", "X-Upper", "penstock-two-parts", "ce-datacontenttype"]
)
def test_a_header_that_would_not_come_back_is_refused(header: str) -> None:
    """Rather than written under another name."""
    with pytest.raises(ContractViolated):
        as_line(an_event(headers={header: "x"}))
