"""Traces over deliveries: one at a time, and in batches."""

import asyncio
from collections.abc import Sequence

from penstock_common.contracts.base import encode
from penstock_common.errors import ContractViolated
from penstock_common.messaging.delivery import Delivery
from penstock_common.messaging.envelope import CONTEXT, TRACEPARENT, Context, envelop, inherited
from penstock_common.messaging.ports import Incoming
from penstock_common.tracing.messages import sending
from penstock_common.tracing.spans import span
from tests.support.conventions import broken
from tests.support.otlp import Collector, Received
from tests.unit.messaging.fakes import BATCHED, COUNTED, LANE, Counted, FakeSettler
from tests.unit.tracing.conftest import Exporting

PROCESS = f"process {COUNTED.subject}"


def brought(n: int, *, flags: str = "01") -> Incoming:
    """A delivery that comes with a trace of its own: the n-th."""
    headers = {"ce-id": str(n), TRACEPARENT: f"00-{n:032x}-{n:016x}-{flags}"}
    return Incoming(COUNTED.subject, str(n), headers, encode(Counted(n=n)), (1, 0))


def of_trace(receiver: Collector, n: int) -> Received:
    """The only span of the n-th trace."""
    (made,) = receiver.trace(f"{n:032x}")
    return made


def test_a_sending_is_the_child_of_what_led_to_it(receiver: Collector, exporting: Exporting) -> None:
    """And its identity, not the parent's, is what the message carries."""
    with exporting(), span("handler") as handler:
        with sending(envelop(Counted(n=1), COUNTED)) as message:
            carried = message.headers[TRACEPARENT]
        assert carried != handler.traceparent
    spans = {made.name: made for made in receiver.spans}
    publish = spans[f"publish {COUNTED.subject}"]
    assert (publish.parent, publish.kind) == (spans["handler"].id, "PRODUCER")
    assert carried == f"00-{publish.trace}-{publish.id}-01"
    assert publish.attributes["messaging.message.id"] == message.message_id
    assert broken(publish) == []


def test_without_an_endpoint_a_message_leaves_as_it_is() -> None:
    """The same object."""
    message = envelop(Counted(n=1), COUNTED, context=Context(traceparent="00-a-b-01"))
    with sending(message) as leaving:
        assert leaving is message


async def test_a_handler_runs_in_the_trace_of_its_message(receiver: Collector, exporting: Exporting) -> None:
    """What it causes is the child of its handling, and the span tells which attempt it was."""
    seen: list[str] = []

    async def handler(message: Incoming) -> None:
        seen.append(CONTEXT.get().traceparent)

    with exporting():
        await Delivery(FakeSettler()).run(handler, brought(7), LANE)
    made = of_trace(receiver, 7)
    assert (made.name, made.kind, made.parent) == (PROCESS, "CONSUMER", f"{7:016x}")
    assert made.attributes["penstock.attempt"] == 1
    assert made.attributes["messaging.consumer.group.name"] == LANE.name
    assert seen == [f"00-{7:032x}-{made.id}-01"]
    assert broken(made) == []


async def test_a_failed_handling_says_so(receiver: Collector, exporting: Exporting) -> None:
    """By the code of what went wrong."""

    async def handler(message: Incoming) -> None:
        raise ContractViolated("hunter2")

    with exporting():
        await Delivery(FakeSettler()).run(handler, brought(7), LANE)
    assert of_trace(receiver, 7).attributes["error.type"] == "common.contract_violated"
    assert b"hunter2" not in receiver.bodies[0]


async def test_a_batch_is_in_the_trace_of_each_of_its_messages(receiver: Collector, exporting: Exporting) -> None:
    """One span a message, linked both ways; what a message causes belongs to its own."""
    causes: list[str] = []

    async def handler(messages: Sequence[Incoming]) -> None:
        causes.extend(inherited(message).traceparent for message in messages)
        await asyncio.sleep(0.01)

    with exporting():
        await Delivery(FakeSettler()).run_batch(handler, [brought(n) for n in (1, 2, 3)], BATCHED)
    first, *others = made = [of_trace(receiver, n) for n in (1, 2, 3)]
    assert [span.parent for span in made] == [f"{n:016x}" for n in (1, 2, 3)]
    assert causes == [f"00-{span.trace}-{span.id}-01" for span in made]
    assert set(first.links) == {(f"{n:032x}", f"{n:016x}") for n in (2, 3)}
    assert all(other.links == ((first.trace, first.id),) for other in others)
    assert all(span.attributes["messaging.batch.message_count"] == 3 for span in made)
    assert [problem for span in made for problem in broken(span)] == []


async def test_a_trace_that_is_not_kept_costs_its_batch_no_other(receiver: Collector, exporting: Exporting) -> None:
    """Each message's caller decides for itself."""

    async def handler(messages: Sequence[Incoming]) -> None:
        await asyncio.sleep(0)

    with exporting():
        await Delivery(FakeSettler()).run_batch(handler, [brought(1, flags="00"), brought(2)], BATCHED)
    assert [span.trace for span in receiver.spans] == [f"{2:032x}"]
