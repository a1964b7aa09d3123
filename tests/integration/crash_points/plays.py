"""What a process may be at when it dies."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from penstock_common.contracts.base import Contract
from penstock_common.contracts.generation import Measure, Tokens
from penstock_common.contracts.keys import KeyCreated
from penstock_common.ids import uuid7
from penstock_common.messaging.envelope import envelop
from penstock_common.topology import PLATFORM
from tests.integration.crash_points.stage import Stage
from tests.support.billing import a_completion, a_cost, id_of

OLD = "update api.outbox set created_at = now() - interval '1 minute' where message_id = $1 returning id::text"
TOLD = "update {}.outbox set published_at = now() where position($1 in convert_from(body, 'utf8')) > 0"
UNKNOWN = Tokens(measure=Measure.ESTIMATED)


@dataclass(frozen=True)
class Work:
    """One piece of work, ready for the first process that comes."""

    own: str
    about: tuple[str, ...] = ()
    rows: tuple[str, ...] = ()


async def said(stage: Stage, *messages: tuple[Contract, str]) -> None:
    """Publish messages under the ids given with them."""
    out = [envelop(message, PLATFORM.topic(type(message)), message_id=id_) for message, id_ in messages]
    assert not any(await stage.bus.publish_all(out))


async def charge(stage: Stage) -> Work:
    """The end of a request, to be charged in one statement."""
    completion = a_completion()
    await said(stage, (completion, id_of(completion)))
    return Work(str(completion.request_id))


async def charge_beside_a_redelivery(stage: Stage) -> Work:
    """The same in a batch of which the books know something: a transaction of several statements."""
    known, completion = a_completion(), a_completion()
    await stage.booked(known)
    await said(stage, (known, id_of(known)), (completion, id_of(completion)))
    return Work(str(completion.request_id), about=(str(known.request_id),))


async def correction(stage: Stage) -> Work:
    """What an attempt cost, where the books have an estimate of it."""
    request_id = uuid7()
    lost = a_cost(request_id=request_id, tokens=UNKNOWN, provider="", price_version=0)
    await stage.booked(lost, f"{request_id}.1.lost")
    await said(stage, (a_cost(request_id=request_id, tokens=Tokens(10, 1)), f"{request_id}.1.costed"))
    return Work(str(request_id))


async def burial(stage: Stage) -> Work:
    """An end that contradicts the one in the books, of which has been told: nobody can handle it."""
    completion = a_completion()
    await stage.booked(completion)
    await stage.pool.execute(TOLD.format("billing"), str(completion.request_id))
    other = a_completion(request_id=completion.request_id, completion=3)
    await said(stage, (other, f"{completion.request_id}.other"))
    return Work(str(completion.request_id))


async def left_behind(stage: Stage) -> Work:
    """An outbox row whose process died after the commit."""
    key = uuid7()
    async with stage.api.transaction() as tx:
        tx.publish(KeyCreated(key_id=key, tenant=uuid7(), version=1), message_id=str(key))
    rows = await stage.pool.fetch(OLD, str(key))
    return Work(str(key), rows=tuple(row["id"] for row in rows))


async def tick(stage: Stage) -> Work:
    """A schedule that is due, of which has been told."""
    own = str(await stage.surely(stage.scheduler.settler, stage.scheduler.save))
    await stage.pool.execute(TOLD.format("scheduler"), own)
    return Work(own)


@dataclass(frozen=True)
class Play:
    """How work begins, who does it, the steps that it surely has, and what is heard of it."""

    begin: Callable[[Stage], Awaitable[Work]]
    crew: str
    lane: str
    """The handler whose deliveries are the work; empty where there are none. Plays of one lane run one by one."""
    steps: tuple[str, ...]
    heard: tuple[tuple[str, int], ...] = ()


INBOX, ENTRIES, OUTBOX = (f"insert into billing.{table}" for table in ("inbox", "entries", "outbox"))
PUBLISH, MARK = "publish billing.usage.recorded.v1", "update billing.outbox"
USAGE = (("on_usage_recorded", 1),)
DUE = ("insert into scheduler.ticks", "update scheduler.schedules", "insert into scheduler.outbox", "commit")
AT_ONCE, BESIDE = ("charge at once", "ack", PUBLISH, MARK), ("charge at once", INBOX, ENTRIES, OUTBOX, "commit", "ack")
LETTER = (("collect_dead_letters", 1),)
ORPHAN = ("publish api.key.created.v1", "update api.outbox", "commit")
COMPLETED, COSTED = "on_generation_completed", "on_attempt_costed"
PLAYS = {
    "charge": Play(charge, "books", COMPLETED, AT_ONCE, USAGE),
    "charge beside a redelivery": Play(charge_beside_a_redelivery, "books", COMPLETED, (*BESIDE, PUBLISH, MARK), USAGE),
    "burial": Play(burial, "books", COMPLETED, ("charge at once", INBOX, ENTRIES, "bury", "move"), LETTER),
    "correction": Play(correction, "books", COSTED, (INBOX, ENTRIES, f"{ENTRIES} 2", "commit", "ack")),
    "left behind": Play(left_behind, "relaying", "", ORPHAN, (("on_key_created", 1),)),
    "tick": Play(tick, "ticking", "", (*DUE, "update scheduler.outbox"), (("on_start_run", 1), ("on_tick_fired", 1))),
}
