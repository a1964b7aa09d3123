"""What becomes of a span: its parent, its errors, its place in the sample."""

import asyncio
from contextlib import suppress

import pytest

from penstock_common.errors import BusUnavailable
from penstock_common.messaging.delivery import HandBack
from penstock_common.messaging.envelope import CONTEXT, Context
from penstock_common.tracing.spans import NOTHING, Kind, leaf, span
from tests.support.otlp import Collector
from tests.unit.tracing.conftest import Exporting

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
CALLED = f"00-{TRACE}-{PARENT}-01"


def test_without_an_endpoint_there_is_nothing() -> None:
    """No span is made, and the context stays as it was."""
    before = CONTEXT.get()
    assert span("work") is NOTHING
    with span("work") as made:
        made.set({"a": 1})
        assert CONTEXT.get() is before


def test_a_block_is_the_parent_of_what_it_begins(receiver: Collector, exporting: Exporting) -> None:
    """Within a block its span is the parent; after it the one before is again."""
    with exporting():
        with span("outer"), span("inner"):
            pass
        with span("next"):
            pass
    spans = {made.name: made for made in receiver.spans}
    assert spans["inner"].parent == spans["outer"].id
    assert spans["inner"].trace == spans["outer"].trace != spans["next"].trace
    assert not spans["next"].parent


def test_a_leaf_grows_on_a_trace_only(receiver: Collector, exporting: Exporting) -> None:
    """What runs by itself, such as a timer's statement, begins no trace; and nothing is a leaf's child."""
    with exporting():
        with leaf("alone", Kind.CLIENT, {}):
            pass
        with span("root"), leaf("leaf", Kind.CLIENT, {}), span("beside"):
            pass
    spans = {made.name: made for made in receiver.spans}
    assert set(spans) == {"root", "leaf", "beside"}
    assert {spans["leaf"].parent, spans["beside"].parent} == {spans["root"].id}


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (BusUnavailable("the client wrote hunter2"), "common.bus_unavailable"),
        (ValueError("hunter2"), "ValueError"),
        (HandBack(1.0), None),
        (asyncio.CancelledError("hunter2"), None),
    ],
)
def test_an_error_is_named_and_never_quoted(
    receiver: Collector, exporting: Exporting, error: BaseException, said: str | None
) -> None:
    """Its class or code; its sentence may hold what a client wrote. Giving back and stopping are no errors."""
    with exporting(), suppress(type(error)), span("work"):
        raise error
    (made,) = receiver.spans
    assert (made.failed, made.attributes.get("error.type")) == (said is not None, said)
    assert b"hunter2" not in receiver.bodies[0]


def test_a_callers_word_counts_before_the_ratio(receiver: Collector, exporting: Exporting) -> None:
    """With a ratio of nothing only what a caller asked to be kept is kept, under the caller's span."""
    with exporting(sample_ratio=0.0):
        for flags in ("01", "00"):
            token = CONTEXT.set(Context(traceparent=CALLED[:-2] + flags))
            with span(f"called {flags}"):
                assert CONTEXT.get().traceparent.endswith(f"-{flags}")
            CONTEXT.reset(token)
        with span("begun here"):
            assert CONTEXT.get().traceparent.endswith("-00")
    (made,) = receiver.spans
    assert (made.name, made.trace, made.parent) == ("called 01", TRACE, PARENT)


def test_long_values_are_cut(receiver: Collector, exporting: Exporting) -> None:
    """No attribute is longer than 256 characters."""
    with exporting(), span("work", attributes={"penstock.model": "m" * 10_000}):
        pass
    assert len(receiver.spans[0].attributes["penstock.model"]) == 256
