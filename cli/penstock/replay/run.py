"""Counts a replay, or carries it out, on the databases and the bus that the operator names."""

from dataclasses import dataclass

from penstock.acting import acting
from penstock.events.source import reading
from penstock.progress import progress
from penstock.replay.kept import ActFile, Kept
from penstock.replay.plan import Plan
from penstock.replay.publishing import Replayer
from penstock.replay.source import Source
from penstock.replay.tally import Tally, tally
from penstock_common.messaging.connect import connect_bus

ACT = "events.replay"


@dataclass(frozen=True, slots=True)
class Places:
    """Where an operator reads and publishes."""

    database: str
    """For a role that reads the schemas of all services."""
    bus: str = ""
    """Not needed where nothing is published."""


async def count(plan: Plan, places: Places) -> Tally:
    """What the plan would do now. Raises CannotRead, ObjectsUnavailable."""
    async with reading(places.database) as connection, connection.transaction(isolation="repeatable_read"):
        return await tally(Source(plan, connection))


async def carry_out(kept: Kept, file: ActFile, places: Places, rate: float) -> Kept:
    """Do what is left of an act, at so many messages a second, and tell the audit log.

    Raises ActTaken, ActUntold, CannotRead, ObjectsUnavailable, ReplayHalted; then it may be taken up again.
    """
    with file.held():
        file.save(kept)
        async with reading(places.database) as connection:
            source = Source(kept.plan, connection)
            left = 0 if kept.done else (await tally(source, kept.after)).events
            async with acting(places.bus, ACT, details(kept.plan), kept.plan.act) as act:
                if not kept.done:
                    await _publish(kept, file, places.bus, rate, source, left)
                act.results["published"] = str(kept.published)
    return kept


async def _publish(kept: Kept, file: ActFile, url: str, rate: float, source: Source, left: int) -> None:
    bus = await connect_bus(url, "penstock-cli")
    try:
        with progress("saying again", left) as advance:
            await Replayer(bus, file, kept, rate).publish(source, advance)
    finally:
        await bus.close()


def details(plan: Plan) -> dict[str, str]:
    """What the audit log keeps of it."""
    chosen = plan.selection
    told = {
        "to": plan.to or "everyone",
        "effects": "allowed" if plan.effects else "suppressed",
        "since": chosen.since.isoformat() if chosen.since else "",
        "until": chosen.until.isoformat() if chosen.until else "",
        "topics": " ".join(chosen.subjects),
        "services": " ".join(chosen.services),
        "tenant": str(chosen.tenant or ""),
        "correlation": chosen.correlation,
        "trace": chosen.trace_id,
        "ids": " ".join(sorted(chosen.message_ids)),
        "attributes": " ".join(f"{name}={value}" for name, value in sorted(chosen.attributes.items())),
        "from": plan.archive or "outboxes",
    }
    return {name: shortened(value) for name, value in told.items() if value}


def shortened(text: str, most: int = 200) -> str:
    """A text of so many characters at most."""
    return text if len(text) <= most else f"{text[: most - 1]}…"
