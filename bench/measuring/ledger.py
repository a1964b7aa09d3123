"""The ledger alone: usage events from the bus into the books, by one billing process on a real PostgreSQL."""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg

from measuring.processes import cpu_seconds
from measuring.tools import BenchError
from penstock.platform.account import server_account
from penstock.platform.database import TIMEOUTS
from penstock.platform.nats import NatsServer
from penstock.platform.ports import free_ports
from penstock.platform.postgres import PostgresServer
from penstock.platform.program import Program, plain_environment
from penstock_common.contracts.catalogue import CatalogueChanged, CatalogueModel, Price
from penstock_common.contracts.generation import GenerationCompleted, Outcome, Tokens
from penstock_common.db.migrate import upgrade
from penstock_common.ids import day_of, uuid7
from penstock_common.messaging.connect import apply_topology, connect_bus
from penstock_common.messaging.envelope import envelop
from penstock_common.messaging.ports import Bus
from penstock_common.topology import PLATFORM

EVENTS, QUICK_EVENTS = 40_000, 5_000
REPEATED = 50
"""Events that come twice, as after a bus that forgot its acknowledgements: each must be charged once."""
AT_ONCE = 512
START_S, DRAIN_S, LOOK_S = 60.0, 120.0, 0.1
PRICE = Price(version=1, currency="USD", input_nano=1_000, output_nano=2_000, cached_input_nano=500)
TOKENS = Tokens(prompt=40, completion=20)
CHARGE = 40 * 1_000 + 20 * 2_000
"""What each event costs its customer, in nano units."""

LEFT = "select count(*) from billing.outbox where published_at is null"
POSTED = "select count(*) from billing.inbox where consumer = 'billing-on-generation-completed'"
# Counting all of them ten times a second would be a tenth of the database's work.
LAST = """
select count(*) from billing.inbox
where day = $1 and consumer = 'billing-on-generation-completed' and message_id = $2
"""
BOOKS = """
select (select count(*) from billing.entries where book = 'customer') as charged,
       (select count(distinct request_id) from billing.entries where book = 'customer') as requests,
       (select count(*) from billing.entries where book = 'provider') as costed,
       (select coalesce(sum(amount_nano), 0) from billing.postings where account like 'customer:%') as owed,
       (select coalesce(sum(amount_nano), 0) from billing.postings) as balance,
       (select count(*) from billing.outbox) as told
"""


@dataclass(frozen=True)
class Stack:
    """A bus, a database and, once it is started, billing."""

    bus_url: str
    database_url: str
    home: Path
    pids: dict[str, list[int]]


@contextlib.contextmanager
def stack(bus_url: str | None) -> Iterator[Stack]:
    """Start PostgreSQL with the platform's settings, and NATS unless a bus is given; both go at the end."""
    with tempfile.TemporaryDirectory(prefix="penstock-ledger-", ignore_cleanup_errors=True) as scratch:
        home = Path(scratch)
        home.chmod(0o711)  # PostgreSQL's account must enter it
        database_port, client, monitor = free_ports(3)
        database = PostgresServer(home / "postgres", "bench", database_port, server_account())
        nats = NatsServer(home / "nats", "bench", client, monitor)
        with contextlib.ExitStack() as running:
            pids: dict[str, list[int]] = {}
            servers: list[PostgresServer | NatsServer] = [database, *([] if bus_url else [nats])]
            for server in servers:
                server.prepare()
                pids[server.name] = [running.enter_context(process(server.program(), home))]
                asyncio.run(_until_ready(server, pids[server.name][0]))
            yield Stack(bus_url or nats.url, database.maintenance_url, home, pids)


@contextlib.contextmanager
def process(program: Program, home: Path) -> Iterator[int]:
    """Run a program, its words in a file; ended in order at the end of the block."""
    with (home / f"{program.name}.log").open("wb") as log:
        running = subprocess.Popen(program.argv, stdout=log, stderr=log, **program.popen_arguments())
    try:
        yield running.pid
    finally:
        running.send_signal(program.stop_signal)
        try:
            running.wait(20)
        except subprocess.TimeoutExpired:
            running.kill()


def measure(events: int = EVENTS, bus_url: str | None = None) -> dict[str, Any]:
    """Fill the stream, start billing, and time it from its first batch to its last; then check the books."""
    with stack(bus_url) as running:
        last = asyncio.run(_fill(running, events))
        with process(_billing(running), running.home) as pid:
            running.pids["billing"] = [pid]
            rate, cpu = asyncio.run(_watch(running, events, last))
    by_role = {role: round(seconds * 1e6, 1) for role, seconds in sorted(cpu.items())}
    inclusive = round(by_role["billing"] + by_role["postgres"], 1)
    return {"events": events, "events_per_s": round(rate), "cpu_us_per_event": {"total": inclusive, **by_role}}


async def _until_ready(server: PostgresServer | NatsServer, pid: int) -> None:
    deadline = time.monotonic() + START_S
    while not await server.is_ready(pid):
        if time.monotonic() > deadline:
            raise BenchError(f"{server.name} did not start within {START_S:.0f} s")
        await asyncio.sleep(0.05)


def _billing(running: Stack) -> Program:
    (port,) = free_ports(1)
    settings = {"BUS__URL": running.bus_url, "DATABASE__URL": running.database_url, "HTTP__PORT": str(port)}
    environment = plain_environment() | {f"PENSTOCK_BILLING_{name}": value for name, value in settings.items()}
    argv = (sys.executable, "-m", "penstock_billing")
    return Program(name="billing", argv=argv, env=environment, cwd=running.home)


async def _fill(running: Stack, count: int) -> str:
    """Store the events on the bus, as inference's relay does, before billing is there; gives the last one's id."""
    admin = await asyncpg.connect(running.database_url)
    for name, value in TIMEOUTS.items():  # as the role of a service has them
        await admin.execute(f"alter role current_user set {name} = '{value}'")
    await admin.close()
    await upgrade("billing", running.database_url)
    await apply_topology(running.bus_url)
    bus = await connect_bus(running.bus_url, "bench")
    try:
        await bus.publish(envelop(_catalogue(), PLATFORM.topic(CatalogueChanged)))
        events = [_event() for _ in range(count)]
        half = count // 2
        await _publish(bus, events[:half])
        await _publish(bus, events[:REPEATED], again=True)
        await _publish(bus, events[half:])
    finally:
        await bus.close()
    return _id_of(events[-1])


async def _publish(bus: Bus, events: Sequence[GenerationCompleted], *, again: bool = False) -> None:
    topic, suffix = PLATFORM.topic(GenerationCompleted), ".again" if again else ""  # else the bus would keep one
    for begin in range(0, len(events), AT_ONCE):
        part = events[begin : begin + AT_ONCE]
        told = [envelop(event, topic, message_id=_id_of(event)) for event in part]
        for error in await bus.publish_all([replace(m, message_id=m.message_id + suffix) for m in told], timeout=10.0):
            if error:
                raise BenchError(f"the bus does not take the events: {error}")


def _id_of(event: GenerationCompleted) -> str:
    return f"{event.request_id}.completed"


def _catalogue() -> CatalogueChanged:
    model = CatalogueModel(name="mock", engine="openai-compatible", provider="mock", price=PRICE, simulated=False)
    return CatalogueChanged(version=1, models=[model])


def _event() -> GenerationCompleted:
    now = datetime.now(UTC)
    return GenerationCompleted(
        request_id=uuid7(),
        attempt=1,
        tenant=TENANT,
        key_id=TENANT,
        model="mock",
        deployment="openai-compatible:mock",
        provider="mock",
        outcome=Outcome.SUCCEEDED,
        tokens=TOKENS,
        price_version=PRICE.version,
        streamed=False,
        accepted_at=now,
        started_at=now,
        completed_at=now,
    )


TENANT = UUID("01990000-0000-7000-8000-000000000001")


async def _watch(running: Stack, count: int, last: str) -> tuple[float, dict[str, float]]:
    """Events a second, and CPU seconds an event by role, between the first event seen posted and the last told."""
    database = await asyncpg.connect(running.database_url)
    try:
        first = await _until(database, POSTED, lambda posted: posted > 0)
        begun, cpu = time.monotonic(), cpu_seconds(running.pids)
        await _until(database, LAST, bool, day_of(last), last)
        await _until(database, POSTED, lambda posted: posted >= count)
        seconds = time.monotonic() - begun
        await _until(database, LEFT, lambda left: left == 0)
        used = {role: now - cpu[role] for role, now in cpu_seconds(running.pids).items()}
        await _check(database, count)
    finally:
        await database.close()
    counted = count - first
    return counted / seconds, {role: each / counted for role, each in used.items()}


async def _until(database: asyncpg.Connection, question: str, enough: Any, *given: Any) -> int:
    deadline = time.monotonic() + DRAIN_S
    while not enough(count := int(await database.fetchval(question, *given))):
        if time.monotonic() > deadline:
            raise BenchError(f"the ledger stands still: `{question}` says {count}")
        await asyncio.sleep(LOOK_S)
    return count


async def _check(database: asyncpg.Connection, count: int) -> None:
    """Every event charged once, at its price, and told once; the books sum to zero."""
    found = dict(await database.fetchrow(BOOKS))
    wanted = dict.fromkeys(("charged", "requests", "costed", "told"), count) | {"owed": count * CHARGE, "balance": 0}
    if wrong := {name: (int(found[name]), want) for name, want in wanted.items() if found[name] != want}:
        raise BenchError(f"the books are wrong, (found, wanted): {wrong}")


if __name__ == "__main__":
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])
    print(json.dumps(measure(QUICK_EVENTS if "--quick" in sys.argv else EVENTS), indent=2))
