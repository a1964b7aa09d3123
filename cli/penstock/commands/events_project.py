"""`penstock events project`."""

from typing import Annotated

import typer

from penstock.commands.event_options import Bus, Database
from penstock.commands.options import Data, Json


def project(  # noqa: PLR0913 (the options of a command)
    name: Annotated[str, typer.Argument(help="api.requests, api.catalogue or billing.prices.")],
    *,
    swap: Annotated[bool, typer.Option("--swap", help="Put what the events make in the place of what is there.")] = (
        False
    ),
    settle: Annotated[
        float, typer.Option(min=0, max=3600, help="Seconds to wait for what is under way before it counts.")
    ] = 5.0,
    from_archive: Annotated[
        bool, typer.Option("--from-archive", help="Read the archive first, which keeps what outboxes have forgotten.")
    ] = False,
    archive: Annotated[
        str, typer.Option(help="With --from-archive: s3://bucket/folder or a folder; else the data folder's.")
    ] = "",
    owner: Annotated[
        str, typer.Option(help="With --database: this URL, as the role that owns the projection; else that one.")
    ] = "",
    bus: Bus = None,
    database: Database = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Make a service's picture of others' events anew beside the live one, and compare them row by row.

    Nothing is changed without --swap. Exit code 0 where they agree or were swapped, 1 where they differ or a part of
    the archive is damaged, 2 where it can't be read.
    """
    import asyncio  # noqa: PLC0415 (start-up time of other commands)

    from penstock.events.source import bus_of, database_of  # noqa: PLC0415 (as above)
    from penstock.migrating import service_urls  # noqa: PLC0415 (as above)
    from penstock.projecting.found import projection_of  # noqa: PLC0415 (as above)
    from penstock.projecting.run import Places, check  # noqa: PLC0415 (as above)
    from penstock.projecting.run import swap as exchange  # noqa: PLC0415 (as above)
    from penstock.projecting.show import show  # noqa: PLC0415 (as above)
    from penstock.replay.begin import archive_of  # noqa: PLC0415 (as above)
    from penstock.replay.show import tell_damage  # noqa: PLC0415 (as above)

    projection = projection_of(name)
    reader = database_of(data, database)
    places = Places(
        database=reader,
        owner=owner or service_urls(data, database)[projection.service],
        bus=bus_of(data, bus) if swap else "",
        archive=archive_of(archive, data) if from_archive else "",
    )
    projected = asyncio.run(exchange(projection, places) if swap else check(projection, places, settle))
    show(projected, as_json=as_json)
    differs = not projected.swapped and projected.difference.total > 0
    raise typer.Exit(tell_damage(projected.damaged) or int(differs))
