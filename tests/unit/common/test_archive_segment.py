"""Members, indexes and merging, without a storage."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from uuid import UUID

import pytest

from penstock_common.archive.reading import may_hold, merged
from penstock_common.archive.segment import Closed, Member, Segment, described, pack, sealed, unpack, unsealed
from penstock_common.errors import ContractViolated
from penstock_common.events.event import StoredEvent
from penstock_common.events.selection import Selection
from penstock_common.ids import day_made, time_of, uuid7
from penstock_common.messaging.envelope import envelop
from penstock_common.messaging.topology import Kind
from penstock_common.topology import PLATFORM
from tests.support.archiving import key_revoked

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def event_at(milliseconds: int, tenant: UUID | None = None) -> StoredEvent:
    """An event so long after NOW."""
    message = key_revoked(tenant)
    out = envelop(message, PLATFORM.topic(type(message)))
    id_ = uuid7(int(NOW.timestamp() * 1000) + milliseconds)
    given = (out.subject, out.stream, out.message_id, out.headers, out.body)
    return StoredEvent("api", day_made(id_), id_, *given, time_of(id_), None)


def a_member(events: Sequence[StoredEvent]) -> tuple[Member, bytes]:
    """With its bytes."""
    packed = pack(events)
    return described(events, packed, 0), packed


def a_segment() -> Segment:
    """Of one member."""
    member, packed = a_member([event_at(0)])
    return Segment(
        service="api",
        day=NOW.date(),
        number=1,
        data="1.jsonl.gz",
        bytes=len(packed),
        sha256=member.sha256,
        count=1,
        first=member.first,
        last=member.last,
        members=(member,),
    )


def test_the_same_events_give_the_same_bytes() -> None:
    events = [event_at(0), event_at(1)]
    assert pack(events) == pack(events)


def test_every_flipped_bit_of_a_member_is_noticed() -> None:
    """And every cut."""
    member, packed = a_member([event_at(0)])
    assert len(unpack(member, packed)) == 1
    for place in range(len(packed)):
        with pytest.raises(ContractViolated):
            unpack(member, packed[:place] + bytes([packed[place] ^ 16]) + packed[place + 1 :])
    with pytest.raises(ContractViolated):
        unpack(member, packed[:-1])


def test_every_flipped_bit_of_an_index_is_noticed() -> None:
    """Also in its digest, and in the words around it; what is of a later format is not guessed at."""
    segment = a_segment()
    stored = sealed(segment)
    assert unsealed(Segment, stored) == segment
    for place in range(len(stored)):
        with pytest.raises(ContractViolated):
            unsealed(Segment, stored[:place] + bytes([stored[place] ^ 1]) + stored[place + 1 :])
    later = Closed(format=2, service="api", day=NOW.date(), closed_at=NOW, count=0, segments=(), highest=0)
    with pytest.raises(ContractViolated, match="format 2"):
        unsealed(Closed, sealed(later))


def test_the_index_leaves_out_only_what_can_not_be_wanted() -> None:
    """By time, topic, tenant and kind; where it can't tell, the member is read."""
    tenant = uuid7()
    events = [event_at(0, tenant), event_at(5000)]
    member, _ = a_member(events)
    late = time_of(events[1].id)
    for wanted, may in (
        (Selection(), True),
        (Selection(since=late), True),
        (Selection(since=time_of(event_at(5001).id)), False),
        (Selection(until=NOW), False),
        (Selection(until=time_of(event_at(1).id)), True),
        (Selection(subjects=("api.>",)), True),
        (Selection(subjects=("billing.>", "cmd.>")), False),
        (Selection(tenant=tenant), True),
        (Selection(tenant=uuid7()), False),
        (Selection(kinds=frozenset({Kind.COMMAND})), False),
    ):
        assert may_hold(member, wanted) == may, wanted
    crowd, _ = a_member([event_at(n) for n in range(65)])
    assert crowd.tenants is None
    assert may_hold(crowd, Selection(tenant=tenant))


async def test_sequences_are_merged_and_none_is_begun_early() -> None:
    begun: list[str] = []
    events = {n: event_at(n) for n in range(6)}

    async def part(name: str, *numbers: int) -> AsyncIterator[StoredEvent]:
        begun.append(name)
        for number in numbers:
            yield events[number]

    parts = [(events[3].id.int, part("late", 3, 5)), (events[0].id.int, part("early", 0, 1, 4)), (0, part("none"))]
    found = []
    async for event in merged(parts):
        found.append(event)
        if event is events[1]:
            assert "late" not in begun
    assert found == [events[n] for n in (0, 1, 3, 4, 5)]
