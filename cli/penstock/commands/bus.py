"""`penstock bus`."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from penstock.commands.options import Data, Json

app = typer.Typer(help="The bus: made anew from the outboxes, exchanged for another.", no_args_is_help=True)
Bus = Annotated[
    str | None, typer.Option(help="This bus: nats://… or amqp://…; without it that of the platform on --data.")
]
Database = Annotated[
    str | None, typer.Option(help="Read this database, as a role that may read all schemas, that of audit say.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only count what would be done; changes nothing.")]


@app.command()
def rebuild(
    bus: Bus = None,
    database: Database = None,
    since: Annotated[
        str,
        typer.Option(help="How far back to go: 3d, 12h, or a time; without it as far as each stream keeps messages."),
    ] = "",
    dry_run: DryRun = False,
    as_json: Json = False,
    data: Data = None,
) -> None:
    """Make what the bus lacks, and publish again what nobody handled yet.

    Nothing takes effect twice, whoever runs and however often this is done. Exit code 0 when all is published, 1 where
    the bus does not take it, 2 where bus or database can't be reached, 4 where the audit log did not hear of it.
    """
    import asyncio  # noqa: PLC0415 (start-up time of other commands)

    from penstock.events.choosing import Choice, selection_of  # noqa: PLC0415 (as above)
    from penstock.events.source import bus_of, database_of  # noqa: PLC0415 (as above)
    from penstock.moving.rebuild import rebuild as make_anew  # noqa: PLC0415 (as above)
    from penstock.moving.rebuild import would_rebuild  # noqa: PLC0415 (as above)
    from penstock.moving.show import show_rebuilt  # noqa: PLC0415 (as above)
    from penstock.progress import progress  # noqa: PLC0415 (as above)

    places = bus_of(data, bus), database_of(data, database), selection_of(Choice(since=since)).since
    done = asyncio.run(would_rebuild(*places))
    if not dry_run:
        with progress("publishing", done.tally.owed.total()) as advance:
            done = asyncio.run(make_anew(*places, advance))
    if as_json:
        print(json.dumps(done.as_json()))
    else:
        show_rebuilt(done, dry_run=dry_run)


@app.command()
def migrate(  # noqa: PLR0913, PLR0917 (one parameter an option)
    to: Annotated[
        str, typer.Option(help="The new bus: nats://…, amqp://…, or embedded.", envvar="PENSTOCK_NEW_BUS_URL")
    ],
    check: Annotated[bool, typer.Option("--check", help="Only tell whether it could be done now.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would be done, step by step.")] = False,
    bus: Annotated[str | None, typer.Option(help="With --check: the bus in use, of a platform elsewhere.")] = None,
    database: Annotated[str | None, typer.Option(help="With --check: its database.")] = None,
    as_json: Json = False,
    data: Data = None,
) -> None:
    """Move the running platform to another bus; no request is refused meanwhile, and none is lost.

    It is checked first. A move that was broken off, by whatever end of this command or of the platform, goes on when it
    is ordered again. Exit code 0 when the platform is moved, or could be; 1 with what stands in the way.
    """
    import asyncio  # noqa: PLC0415 (start-up time of other commands)

    from penstock.moving import migrate as moving  # noqa: PLC0415 (as above)
    from penstock.moving.check import check as examine  # noqa: PLC0415 (as above)
    from penstock.moving.show import show_findings  # noqa: PLC0415 (as above)

    plan = moving.plan_of(data, to, bus, database)
    findings = [] if plan.is_there else asyncio.run(examine(plan))
    able = not any(finding.mend for finding in findings)
    told: dict[str, Any] = {"able": able, "findings": [finding.as_json() for finding in findings], "moved": False}
    if dry_run:
        told["steps"] = moving.steps(plan, findings[0].found if findings else "nothing")
    elif able and not check:
        asyncio.run(_move(data, to, aside=as_json))
        told["moved"] = True
    if as_json:
        print(json.dumps(told))
    elif not told["moved"]:
        show_findings(findings)
        for number, step in enumerate(told.get("steps", ()), 1):
            typer.echo(f"{number}. {step}")
    raise typer.Exit(0 if able else 1)


async def _move(data: Path | None, to: str, *, aside: bool) -> None:
    from penstock.moving.migrate import migrate as move  # noqa: PLC0415 (as above)

    async for said in move(data, to):
        typer.echo(said, err=aside)
