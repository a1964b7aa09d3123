"""What is told and stored nowhere: queries, broadcasts, and the chunks for a process's inbox."""

import asyncio
import time

import pytest

from penstock_common.errors import BusUnavailable, MessageTooLarge, NoAnswer
from penstock_common.messaging.envelope import envelop
from penstock_common.messaging.packs import packed_size
from penstock_common.messaging.ports import Bus
from tests.integration.messaging.rig import Rig, until
from tests.integration.messaging.shop import FIND, PAID, SAID, Paid

MAX_MESSAGE = 8 << 20  # bytes that either bus takes

pytestmark = pytest.mark.integration


async def silence(_: bytes) -> None:
    """Knows nothing."""


async def test_a_query_is_answered_by_one_process(rig: Rig) -> None:
    """Two could answer; each question reaches one of them."""
    asked: list[bytes] = []

    async def answer(body: bytes) -> bytes:
        asked.append(body)
        return b"found " + body

    for bus in (await rig.connection(), await rig.connection()):
        await bus.answer(FIND, answer)
    answers = [await rig.bus.query(FIND, b"%d" % n, timeout=2) for n in range(10)]
    assert answers == [b"found %d" % n for n in range(10)]
    assert len(asked) == 10


async def test_of_everyone_only_the_one_that_knows_answers(rig: Rig) -> None:
    """Each process hears the question; silence is no answer."""
    heard: list[int] = []

    def knowing(who: int) -> object:
        async def answer(body: bytes) -> bytes | None:
            heard.append(who)
            return b"me" if who == 1 else None

        return answer

    for who in range(3):
        await (await rig.connection()).answer(FIND, knowing(who), everyone=True)  # type: ignore[arg-type]
    assert await rig.bus.query(FIND, b"?", timeout=2) == b"me"
    await until(lambda: sorted(heard) == [0, 1, 2])


async def test_silence_is_no_answer_in_time(rig: Rig) -> None:
    """The asking side waits as long as it said, and not longer."""
    await (await rig.connection()).answer(FIND, silence)
    began = time.monotonic()
    with pytest.raises(NoAnswer):
        await rig.bus.query(FIND, b"?", timeout=0.3)
    assert 0.25 < time.monotonic() - began < 1


async def test_nobody_there_is_no_answer_at_once(rig: Rig) -> None:
    """Without a listener there is nothing to wait for."""
    began = time.monotonic()
    with pytest.raises(NoAnswer):
        await rig.bus.query(FIND, b"?", timeout=5)
    assert time.monotonic() - began < 1


async def test_a_bug_in_one_answer_does_not_end_answering(rig: Rig) -> None:
    """The question that failed gets silence, the next one its answer."""

    async def answer(body: bytes) -> bytes:
        if body == b"bad":
            raise KeyError(body)
        return body

    await (await rig.connection()).answer(FIND, answer)
    with pytest.raises(NoAnswer):
        await rig.bus.query(FIND, b"bad", timeout=0.2)
    assert await rig.bus.query(FIND, b"good", timeout=2) == b"good"


async def listening(bus: Bus, heard: list[bytes]) -> None:
    """Write down what a process hears."""

    async def listener(body: bytes) -> None:
        heard.append(body)

    await bus.listen(SAID, listener)


async def test_a_broadcast_is_heard_once_by_each_process_in_order(rig: Rig) -> None:
    """Those who speak hear it too."""
    ears: list[list[bytes]] = [[], [], []]
    for bus, heard in zip((rig.bus, await rig.connection(), await rig.connection()), ears, strict=True):
        await listening(bus, heard)
    said = [b"%d" % n for n in range(20)]
    for body in said:
        await rig.bus.broadcast(SAID, body)
    await until(lambda: all(len(heard) >= 20 for heard in ears))
    assert ears == [said] * 3


async def test_a_stored_message_is_heard_by_those_who_listen(rig: Rig) -> None:
    """An event on its way to its consumers tells every process too."""
    heard: list[bytes] = []

    async def listener(body: bytes) -> None:
        heard.append(body)

    subscription = await (await rig.connection()).listen(PAID, listener)
    message = envelop(Paid(id="p1"), PAID)
    await rig.bus.publish(message)
    await until(lambda: heard == [message.body])
    await subscription.stop()
    await rig.bus.publish(envelop(Paid(id="p2"), PAID))
    await asyncio.sleep(0.3)
    assert heard == [message.body]


async def test_frames_reach_the_inbox_of_their_process_in_order(rig: Rig) -> None:
    """Sent without waiting, from one process; each key's frames arrive as they left, and only there."""
    frames: list[tuple[str, bytes]] = []
    others: list[tuple[str, bytes]] = []
    await (await rig.connection()).receive("api-1", lambda key, body: frames.append((key, body)))
    await (await rig.connection()).receive("api-2", lambda key, body: others.append((key, body)))
    sent = [(f"k{n % 3}", b"%d" % n) for n in range(3000)]
    for key, body in sent:
        rig.bus.send("api-1", key, body)
    await until(lambda: len(frames) == len(sent))
    assert frames == sent
    assert others == []


async def test_what_one_turn_sends_stays_in_order_whatever_it_measures(rig: Rig) -> None:
    """Small and large, a few bytes or more than travel together: by key and among keys, to each its own."""
    frames: list[tuple[str, bytes]] = []
    others: list[tuple[str, bytes]] = []
    await (await rig.connection()).receive("api-1", lambda key, body: frames.append((key, body)))
    await (await rig.connection()).receive("api-2", lambda key, body: others.append((key, body)))
    sizes = [1, 300_000, 0, 100_000, 100_000, 100_000, 5, 1 << 20, 2] * 4
    sent = [(f"k{n % 3}", b"%04d" % n + bytes(size)) for n, size in enumerate(sizes)]
    for key, body in sent:
        rig.bus.send("api-1", key, body)
        rig.bus.send("api-2", key, body[:4])
    await until(lambda: len(frames) == len(others) == len(sent))
    assert frames == sent
    assert others == [(key, body[:4]) for key, body in sent]


async def test_what_is_too_large_is_refused_alone(rig: Rig) -> None:
    """At once, by an error of its own; what is packed before and after it arrives."""
    frames: list[tuple[str, bytes]] = []
    await (await rig.connection()).receive("api-1", lambda key, body: frames.append((key, body)))
    rig.bus.send("api-1", "a", b"before")
    with pytest.raises(MessageTooLarge):
        rig.bus.send("api-1", "b", bytes(20 << 20))
    rig.bus.send("api-1", "c", b"after")
    await until(lambda: frames == [("a", b"before"), ("c", b"after")])


async def test_a_message_of_the_largest_size_arrives(rig: Rig) -> None:
    """Nothing that it travels in makes it too large afterwards."""
    heard: list[int] = []
    await (await rig.connection()).receive("api-1", lambda _, body: heard.append(len(body)))
    largest = MAX_MESSAGE - packed_size("k", b"")
    rig.bus.send("api-1", "k", bytes(largest))
    await until(lambda: heard == [largest])


async def test_a_connection_lost_with_packed_messages_costs_those_at_most(rig: Rig) -> None:
    """Packed within one turn, then the server dies; afterwards order and completeness are as ever."""
    frames: list[bytes] = []
    other = await rig.connection()
    await other.receive("api-1", lambda _, body: frames.append(body))
    for n in range(100):
        rig.bus.send("api-1", "k", b"a%d" % n)
    await asyncio.to_thread(rig.side.server.kill)
    await until(lambda: not rig.bus.connected)
    with pytest.raises(BusUnavailable):
        rig.bus.send("api-1", "k", b"refused")
    await asyncio.to_thread(rig.side.server.start)
    await until(lambda: rig.bus.connected and other.connected)
    for n in range(100):
        rig.bus.send("api-1", "k", b"b%d" % n)
    late = [b"b%d" % n for n in range(100)]
    await until(lambda: frames[-100:] == late)
    assert frames[:-100] in ([b"a%d" % n for n in range(100)], [])


async def test_what_was_sent_last_leaves_before_the_connection_is_closed(rig: Rig) -> None:
    """In the very turn in which it was sent."""
    frames: list[bytes] = []
    await (await rig.connection()).receive("api-1", lambda _, body: frames.append(body))
    leaving = await rig.connection()
    leaving.send("api-1", "k", b"last")
    await leaving.close()
    await until(lambda: frames == [b"last"])


async def test_all_that_was_open_is_open_again_after_the_server_was_away(rig: Rig) -> None:
    """Inbox, queries and broadcasts are there again within 5 s."""
    other, heard, frames = await rig.connection(), list[bytes](), list[bytes]()
    await other.receive("api-1", lambda _, body: frames.append(body))
    await listening(other, heard)

    async def answer(body: bytes) -> bytes:
        return body

    await other.answer(FIND, answer)
    await rig.restart_server()
    await until(lambda: rig.bus.connected and other.connected, 5)
    assert await rig.bus.query(FIND, b"?", timeout=2) == b"?"
    await rig.bus.broadcast(SAID, b"hello")
    rig.bus.send("api-1", "k", b"frame")
    await until(lambda: (heard, frames) == ([b"hello"], [b"frame"]), 5)
