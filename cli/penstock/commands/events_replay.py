"""`penstock events replay`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from penstock.commands.event_options import (
    Attributes,
    Bus,
    Correlation,
    Database,
    Ids,
    Services,
    Since,
    Tenant,
    Topics,
    Trace,
    Until,
)
from penstock.commands.options import Data, Json


class Effects(StrEnum):
    """What a replayed message may do outside of the platform."""

    SUPPRESS = "suppress"
    ALLOW = "allow"


def replay(  # noqa: PLR0913 (the options of a command)
    *,
    since: Since = "",
    until: Until = "",
    topics: Topics = None,
    services: Services = None,
    tenant: Tenant = "",
    correlation: Correlation = "",
    trace: Trace = "",
    ids: Ids = None,
    attributes: Attributes = None,
    to: Annotated[str, typer.Option(metavar="CONSUMER", help="To this consumer alone, else to everyone.")] = "",
    commands: Annotated[bool, typer.Option("--commands", help="Commands too: what asks for work to be done.")] = False,
    effects: Annotated[Effects, typer.Option(help="Webhooks, calls to tools, mail: once more, or not.")] = (
        Effects.SUPPRESS
    ),
    from_archive: Annotated[
        bool, typer.Option("--from-archive", help="Read the archive, which keeps what outboxes have forgotten.")
    ] = False,
    archive: Annotated[
        str, typer.Option(help="With --from-archive: s3://bucket/folder or a folder; else the data folder's.")
    ] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count exactly what it would do, and do nothing.")] = False,
    rate: Annotated[float, typer.Option(min=0.1, max=100_000, help="Messages a second, at most.")] = 500.0,
    resume: Annotated[UUID | None, typer.Option(metavar="ACT", help="Go on with an act that was broken off.")] = None,
    state: Annotated[
        Path | None, typer.Option(help="The file that keeps how far it is; without it one in the data folder.")
    ] = None,
    bus: Bus = None,
    database: Database = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Say events again that the outboxes keep, marked; each consumer's inbox skips what it knows.

    What follows has no effect outside of the platform unless --effects allow. Exit code 4 where the bus stopped taking
    them: go on with --resume ACT, as after a kill; 1 where a part of the archive is damaged: it is named and skipped.
    """
    import asyncio  # noqa: PLC0415 (start-up time of other commands)

    from penstock.events.choosing import Choice  # noqa: PLC0415 (as above)
    from penstock.events.source import bus_of, database_of  # noqa: PLC0415 (as above)
    from penstock.replay import begin  # noqa: PLC0415 (as above)
    from penstock.replay.run import Places, carry_out, count  # noqa: PLC0415 (as above)
    from penstock.replay.show import show_act, show_counts, tell_damage  # noqa: PLC0415 (as above)

    choice = Choice(
        since=since,
        until=until,
        topics=topics or (),
        services=services or (),
        tenant=tenant,
        correlation=correlation,
        trace_id=trace,
        ids=ids or (),
        attributes=attributes or (),
    )
    place = begin.archive_of(archive, data) if from_archive else ""
    wanted = begin.Wanted(choice, to, commands, effects is Effects.ALLOW, place)
    file, kept = begin.resumed(resume, wanted, data, state) if resume else begin.begun(wanted, data, state)
    places = Places(database_of(data, database), "" if dry_run else bus_of(data, bus))
    if dry_run:
        counted = asyncio.run(count(kept.plan, places))
        show_counts(kept.plan, counted, as_json=as_json)
        raise typer.Exit(tell_damage(counted.damaged))
    typer.echo(f"act {kept.plan.act}; if this is broken off: penstock events replay --resume {kept.plan.act}", err=True)
    done = asyncio.run(carry_out(kept, file, places, rate))
    show_act(done, as_json=as_json)
    raise typer.Exit(tell_damage(done.damaged))
