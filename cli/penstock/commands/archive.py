"""`penstock archive`."""

from typing import Annotated

import typer

from penstock.commands.options import Data, Json

app = typer.Typer(
    help="What services said, in object storage: read also where bus and database are long gone.",
    no_args_is_help=True,
)

Url = Annotated[
    str | None,
    typer.Option(
        "--archive",
        envvar="PENSTOCK_ARCHIVE",
        help="This archive: s3://bucket/folder, or a folder; else that of the platform on --data.",
    ),
]
Services = Annotated[list[str] | None, typer.Option("--service", help="Of this service. May be repeated.")]
Since = Annotated[str, typer.Option(help="From this day on: 2026-11-30.")]
Until = Annotated[str, typer.Option(help="Up to this day.")]


@app.command()
def ls(
    services: Services = None,
    since: Since = "",
    until: Until = "",
    as_json: Json = False,
    data: Data = None,
    archive: Url = None,
) -> None:
    """List what is archived, a day of a service a row. Exit code 1 where an index can't be read."""
    import asyncio  # noqa: PLC0415 (start-up time of other commands)

    from penstock.archiving.listing import print_days  # noqa: PLC0415 (as above)
    from penstock.archiving.place import archive_of, days_of  # noqa: PLC0415 (as above)

    days = days_of(services or (), since, until)
    raise typer.Exit(1 if asyncio.run(print_days(archive_of(data, archive), days, as_json=as_json)) else 0)


@app.command()
def verify(
    services: Services = None,
    since: Since = "",
    until: Until = "",
    as_json: Json = False,
    data: Data = None,
    archive: Url = None,
) -> None:
    """Read everything back and compare the checksums. Exit code 1, and each part named, where something is damaged."""
    import asyncio  # noqa: PLC0415 (as above)

    from penstock.archiving.place import archive_of, days_of  # noqa: PLC0415 (as above)
    from penstock.archiving.verifying import verify as read_back  # noqa: PLC0415 (as above)

    days = days_of(services or (), since, until)
    raise typer.Exit(1 if asyncio.run(read_back(archive_of(data, archive), days, as_json=as_json)) else 0)


@app.command()
def show(
    segment: Annotated[str, typer.Argument(help="Service, day and number: billing/2026/11/30/1.")],
    as_json: Json = False,
    data: Data = None,
    archive: Url = None,
) -> None:
    """Show one segment: its members with offsets, times and topics."""
    import asyncio  # noqa: PLC0415 (as above)

    from penstock.archiving.place import archive_of  # noqa: PLC0415 (as above)
    from penstock.archiving.showing import print_segment  # noqa: PLC0415 (as above)

    asyncio.run(print_segment(archive_of(data, archive), segment, as_json=as_json))


@app.command()
def due(  # noqa: PLR0913, PLR0917 (one parameter an option)
    hot_days: Annotated[
        int,
        typer.Option(
            min=2, max=3660, envvar="PENSTOCK_ARCHIVE__HOT_DAYS", help="Days that the outboxes keep messages."
        ),
    ] = 90,
    cold_days: Annotated[
        int,
        typer.Option(
            min=3, max=36_600, envvar="PENSTOCK_ARCHIVE__COLD_DAYS", help="Days that the archive keeps events."
        ),
    ] = 365,
    audit_days: Annotated[
        int,
        typer.Option(min=3, max=36_600, envvar="PENSTOCK_ARCHIVE__AUDIT_DAYS", help="The same for billing's events."),
    ] = 2557,
    as_json: Json = False,
    data: Data = None,
    archive: Url = None,
    database: Annotated[str | None, typer.Option(help="Read this database, as a role that may read all.")] = None,
) -> None:
    """Show what is past its time and would be dropped, and why something of it is not. Changes nothing."""
    import asyncio  # noqa: PLC0415 (as above)

    from penstock.archiving.due import print_due  # noqa: PLC0415 (as above)
    from penstock.archiving.place import ArchiveChoiceInvalid, archive_of  # noqa: PLC0415 (as above)
    from penstock.events.source import database_of  # noqa: PLC0415 (as above)
    from penstock_common.settings import ArchiveSettings  # noqa: PLC0415 (as above)

    if min(cold_days, audit_days) <= hot_days:
        raise ArchiveChoiceInvalid("--cold-days and --audit-days have to be more than --hot-days.")
    settings = ArchiveSettings(hot_days=hot_days, cold_days=cold_days, audit_days=audit_days)
    objects = archive_of(data, archive)
    asyncio.run(print_due(objects, database_of(data, database), settings, as_json=as_json))
