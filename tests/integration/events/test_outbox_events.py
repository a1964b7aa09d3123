"""The outboxes of all services as one sequence, on a real PostgreSQL."""

import time
import tracemalloc
from datetime import timedelta
from uuid import UUID

import asyncpg
import pytest

from penstock.platform.credentials import SERVICES
from penstock_common.events import outbox
from penstock_common.events.event import StoredEvent
from penstock_common.events.outbox import events_by_id, outbox_events, services_with_outbox
from penstock_common.events.selection import Selection
from penstock_common.messaging.topology import Kind
from tests.support.outboxes import BEGIN, an_event, insert, spread

pytestmark = pytest.mark.integration

ALL = Selection()
TRACE = "0123456789abcdef0123456789abcdef"
TENANT = UUID("01a2009d-463a-7567-9141-86299c0974c9")


async def read(connection: asyncpg.Connection, selection: Selection = ALL, **given: object) -> list[StoredEvent]:
    """All of it."""
    services = await services_with_outbox(connection)
    return [event async for event in outbox_events(connection, services, selection, **given)]  # type: ignore[arg-type]


async def test_services_are_merged_in_the_order_of_time(
    writing: asyncpg.Connection, auditing: asyncpg.Connection
) -> None:
    """Over pages and days, each row once and whole, forwards and backwards."""
    events = spread(700) + [an_event(BEGIN + timedelta(days=n), service="worker") for n in range(-2, 3)]
    await insert(writing, events)
    ordered = sorted(events, key=lambda e: e.id)
    assert await read(auditing) == ordered
    assert await read(auditing, backwards=True) == ordered[::-1]
    assert await services_with_outbox(auditing) == sorted(SERVICES)


async def test_it_goes_on_behind_an_event(writing: asyncpg.Connection, auditing: asyncpg.Connection) -> None:
    """Page by page, in pieces of any size, both ways."""
    events = spread(40)
    await insert(writing, events)
    got: list[StoredEvent] = []
    while piece := await read(auditing, after=got[-1].id if got else None, limit=7):
        assert len(piece) <= 7
        got += piece
    assert got == sorted(events, key=lambda e: e.id)
    before = await read(auditing, after=got[10].id, backwards=True)
    assert before == got[:10][::-1]


async def test_bodies_are_read_only_where_they_are_wanted(
    writing: asyncpg.Connection, auditing: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Large ones a few at a time: a page ends where its bytes are used up."""
    monkeypatch.setattr(outbox, "PAGE_BYTES", 3_000)
    events = spread(30, body=b'"' + b"x" * 1_000 + b'"')
    await insert(writing, events)
    pages = []

    def seen(record: object) -> None:
        pages.append(record)

    auditing.add_query_logger(seen)
    assert await read(auditing) == sorted(events, key=lambda e: e.id)
    assert len(pages) >= 1 + 3 * (10 // 3)
    assert {event.body for event in await read(auditing, bodies=False)} == {b""}


@pytest.mark.parametrize(
    "chosen",
    [
        {"since": BEGIN + timedelta(milliseconds=3), "until": BEGIN + timedelta(milliseconds=17)},
        {"subjects": ("billing.*.recorded.v1", "cmd.>")},
        {"subjects": ("*.*",)},
        {"services": ("api", "worker")},
        {"tenant": TENANT},
        {"correlation": "c-1"},
        {"trace_id": TRACE},
        {"message_ids": frozenset({"m-1", "m-2", "m-nobody's"})},
        {"attributes": {"source": "penstock/api", "specversion": "1.0"}},
        {"attributes": {"subject": "it's"}},
        {"kinds": frozenset({Kind.COMMAND})},
        {"kinds": frozenset({Kind.EVENT})},
        {"kinds": frozenset({Kind.EVENT, Kind.COMMAND}), "correlation": "c-0", "subjects": (">",)},
    ],
)
async def test_the_database_chooses_as_memory_does(
    writing: asyncpg.Connection, auditing: asyncpg.Connection, chosen: dict[str, object]
) -> None:
    """One choice, two ways to make it: neither finds an event that the other does not."""
    subjects = ("billing.usage.recorded.v1", "cmd.a.b.c.v1", "only.api-on-x", "two.parts", "cmdx.y")
    events = []
    for n in range(60):
        headers = {"penstock-correlation": f"c-{n % 3}", "ce-subject": "it's" if n % 4 else "is"}
        headers |= {"penstock-tenant": str(TENANT)} if n % 2 else {}
        headers |= {"traceparent": f"00-{TRACE if n % 3 else TRACE[::-1]}-0123456789abcdef-01"} if n % 5 else {}
        service = ("api", "billing", "worker")[n % 3]
        at = BEGIN + timedelta(milliseconds=n)
        events.append(an_event(at, subjects[n % 5], service, headers, message_id=f"m-{n}"))
    await insert(writing, events)
    selection = Selection(**chosen)  # type: ignore[arg-type]
    wanted = sorted((event for event in events if selection.matches(event)), key=lambda e: e.id)
    assert await read(auditing, selection) == wanted
    assert 0 < len(wanted) < len(events) or selection.kinds


async def test_rows_are_read_by_their_ids(writing: asyncpg.Connection, auditing: asyncpg.Connection) -> None:
    """One service's, and no other's."""
    events = spread(9)
    await insert(writing, events)
    found = await events_by_id(auditing, "api", [event.id for event in events])
    assert {event.id for event in found} == {event.id for event in events if event.service == "api"}


@pytest.mark.parametrize("name", ["api; drop schema api", "", "API", 'api"'])
async def test_what_is_no_service_reaches_no_statement(auditing: asyncpg.Connection, name: str) -> None:
    """Names stand in statements; only names may."""
    with pytest.raises(ValueError, match="is no service"):
        await events_by_id(auditing, name, [])


async def test_a_hundred_thousand_rows_take_bounded_memory(
    writing: asyncpg.Connection, auditing: asyncpg.Connection
) -> None:
    """A page a service is held, however many there are; and it takes seconds."""
    await writing.execute("""
        insert into billing.outbox (day, id, subject, stream, message_id, headers, body)
        select '2026-03-04', cast(lpad(to_hex(1772600767000 + n), 12, '0') || '7000800000000000' || '0000' as uuid),
            'a.b', 'A', n::text, '{"ce-id": "x", "penstock-correlation": "c"}', convert_to(repeat('x', 400), 'UTF8')
        from generate_series(1, 100000) n
    """)
    services = await services_with_outbox(auditing)
    tracemalloc.start()
    began, count = time.monotonic(), 0
    async for _ in outbox_events(auditing, services, ALL):
        count += 1
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 100_000
    assert peak < 16 << 20
    assert time.monotonic() - began < 60
