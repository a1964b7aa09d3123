"""The parts of the RabbitMQ adapter that need no server."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from aiormq.abc import DeliveredMessage
from pamqp import commands as spec
from pamqp.header import ContentHeader

from penstock_common.errors import BusUnavailable
from penstock_common.messaging.attempts import attempted
from penstock_common.messaging.connect import make_bus
from penstock_common.messaging.deadletter import DeadLetter
from penstock_common.messaging.rabbit import letters, pulse
from penstock_common.messaging.rabbit.declared import Queue, declared, delivery_limit
from penstock_common.messaging.rabbit.link import unavailable
from penstock_common.messaging.rabbit.pulse import Pulse
from penstock_common.messaging.rabbit.topology import shown
from penstock_common.messaging.rabbit.wire import incoming, persistent
from penstock_common.messaging.topology import Consumer
from penstock_common.topology import PLATFORM
from tests.unit.messaging.fakes import LANE

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class BootClock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def now(self) -> datetime:
        return AT

    def boottime(self) -> float:
        return self.seconds


def delivered(key: str, headers: dict[str, Any], **properties: Any) -> DeliveredMessage:
    """A message as aiormq gives it."""
    deliver = spec.Basic.Deliver(consumer_tag="c", delivery_tag=1, exchange="e", routing_key=key)
    header = ContentHeader(properties=spec.Basic.Properties(headers=headers, **properties))
    return DeliveredMessage(deliver, header, b"body", None)  # type: ignore[arg-type]


def death(queue: str, reason: str, key: str) -> dict[str, Any]:
    """An entry of `x-death`."""
    return {"queue": queue, "reason": reason, "time": AT, "count": 1, "routing-keys": [key], "exchange": "events"}


def test_headers_are_text_and_the_brokers_own_stay_behind() -> None:
    """Whatever AMQP types another publisher used."""
    headers = {"CE-Subject": "a", "n": 7, "raw": b"\xff", "x-delivery-count": 2, "x-opt": "o"}
    message = incoming(delivered("s.v1", headers, message_id="m1", content_type="application/json"), LANE, 5.0)
    assert message.headers == {
        "ce-subject": "a",
        "n": "7",
        "raw": "\\xff",
        "content-type": "application/json",
        "ce-id": "m1",
    }
    assert (message.subject, message.message_id, message.raw.returns, message.redelivered) == ("s.v1", "m1", 2, True)


def test_a_retried_message_keeps_its_subject() -> None:
    """Its routing key is its queue by then."""
    headers = letters.story({"ce-id": "m1"}, "thing.done.v1", 2, "down")
    message = incoming(delivered(LANE.name, headers), LANE, 0.0)
    assert (message.subject, message.redelivered) == ("thing.done.v1", True)


def test_the_first_failure_and_subject_are_kept_through_all_lives() -> None:
    """Only the last failure moves on."""
    first = letters.story({}, "thing.done.v1", 1, "one")
    second = letters.story(first, "elsewhere", 2, "two")
    assert second["dlq-first"] == first["dlq-first"]
    assert (second["dlq-subject"], second["dlq-attempts"], second["dlq-reason"]) == ("thing.done.v1", "2", "two")


def test_a_letter_that_the_server_made_tells_what_is_known() -> None:
    """Consumer, subject, reason and time from `x-death`; attempts from those that said something."""
    deaths = [death(LANE.name, "delivery_limit", "thing.done.v1"), death("retry.200", "expired", LANE.name)]
    told = {"dlq-attempts": "2", "dlq-earlier": "3", "dlq-deaths": "1", "dlq-subject": "thing.done.v1"}
    message = incoming(delivered(LANE.dead_letters, told | {"x-death": deaths}, message_id="m1"), LANE, 0.0)
    letter = DeadLetter.parse(message.headers, message.body)
    assert (letter.consumer, letter.subject, letter.message_id) == (LANE.name, "thing.done.v1", "m1")
    assert letter.attempts == 7
    assert letter.first_failed_at == letter.last_failed_at == AT
    assert "delivery_limit" in letter.reason


def test_a_suspect_begins_anew_with_its_story() -> None:
    """The server moves it as it was: what happened before comes from `x-death`, and attempts add up at the end."""
    lane = LANE.quarantine
    assert lane
    deaths = [death(LANE.name, "rejected", "thing.done.v1"), death("retry.200", "expired", LANE.name)]
    message = incoming(delivered(lane.topic.subject, {"x-death": deaths}, message_id="m1"), lane, 0.0)
    assert message.subject == "thing.done.v1"
    assert message.headers["dlq-first"] == AT.isoformat()
    assert (message.headers["dlq-attempts"], message.headers["dlq-earlier"]) == ("0", "2")


def test_attempts_after_a_move_count_on_in_the_story() -> None:
    """They count from 1 again on the lane of suspects, but not for who reads of it."""
    before = letters.story({}, "s.v1", 1, "why", attempted(1, "a.code", "why", ""))
    after = letters.story({**before, letters.EARLIER: "2"}, "s.v1", 1, "end", attempted(1, "b.code", "end", ""))
    letter = DeadLetter.parse(after, b"")
    assert [(attempt.number, attempt.code) for attempt in letter.story] == [(1, "a.code"), (3, "b.code")]
    assert DeadLetter.parse(letters.story(after, "s.v1", 2, "x"), b"").story == letter.story


def test_a_message_that_only_waited_is_no_letter() -> None:
    """Retry levels leave their trace in `x-death` too."""
    waited = {"x-death": [death("retry.200", "expired", LANE.name)]}
    assert "dlq-reason" not in incoming(delivered(LANE.dead_letters, waited), LANE, 0.0).headers


@pytest.mark.parametrize(("seconds", "written"), [(None, None), (0.25, "250"), (0.0001, "1")])
def test_an_expiration_is_whole_milliseconds_and_never_none_at_all(seconds: float | None, written: str) -> None:
    """Zero would expire before it waited."""
    assert persistent("m", {}, seconds).expiration == written


def test_content_type_travels_as_a_property() -> None:
    """Other AMQP clients look for it there."""
    properties = persistent("m", {"content-type": "application/msgpack", "ce-id": "m"})
    assert (properties.content_type, properties.headers) == ("application/msgpack", {"ce-id": "m"})


def test_every_lane_has_a_queue_and_every_delay_a_level() -> None:
    """Each consumer's dead letters too; quorum and refusing, all of them."""
    queues = {thing.name: thing for thing in declared(PLATFORM) if isinstance(thing, Queue)}
    wanted = {queue for lane in PLATFORM.lanes for queue in lane.queues} | {c.dead_letters for c in PLATFORM.consumers}
    wanted |= {f"retry.{round(delay * 1000)}" for delay in PLATFORM.retry_delays}
    assert wanted <= queues.keys()
    assert "api-collect-dead-letters" not in queues
    assert all(queue.arguments["x-overflow"] == "reject-publish" for queue in queues.values())


@pytest.mark.parametrize("lane", PLATFORM.lanes, ids=lambda lane: lane.name)
def test_the_server_buries_only_what_our_own_count_would_have_buried(lane: Consumer) -> None:
    """The limit is a last resort, and stays the same where attempts are tuned a little."""
    assert delivery_limit(lane) > lane.server_limit >= lane.max_attempts
    assert delivery_limit(lane).bit_count() == 1


def test_a_difference_is_shown_without_the_servers_wording() -> None:
    """As on NATS: name, old, new."""
    told = (
        "PRECONDITION_FAILED - inequivalent arg 'x-delivery-limit' for queue 'q' in vhost '/': "
        "received the value '64' of type 'signedint' but current is the value '32' of type 'signedint'"
    )
    assert shown(told) == "x-delivery-limit 32 → 64"
    assert shown("something else") == "something else"


def test_a_short_pause_is_forgiven_a_long_one_is_not() -> None:
    """After it nothing received before, or in its wake, is held; what comes later is."""
    clock = BootClock()
    beat = Pulse(clock)
    beat.tick()
    clock.seconds += pulse.LIMIT - 0.1
    assert beat.unbroken(100.0)
    clock.seconds += 0.2
    assert not beat.unbroken(100.0)
    beat.tick()
    assert not beat.unbroken(100.0)
    assert not beat.unbroken(clock.seconds)
    assert beat.unbroken(clock.seconds + pulse.INTERVAL)


async def test_the_librarys_cancellation_is_an_outage_ours_is_not() -> None:
    """aiormq cancels what waits on a lost connection; a caller must not take that for its own cancellation."""
    lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    lost.cancel()
    with pytest.raises(BusUnavailable):
        async with unavailable(1):
            await lost

    async def wait() -> None:
        async with unavailable(5):
            await asyncio.sleep(5)

    waiting = asyncio.create_task(wait())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_an_unreachable_server_is_told_soon() -> None:
    """Connecting does not wait for a server that may never come."""
    bus = make_bus("amqp://guest:guest@127.0.0.1:1/", "test")
    with pytest.raises(BusUnavailable):
        async with asyncio.timeout(5):
            await bus.connect()
    assert not bus.connected
    await bus.close()
