"""`penstock events`."""

from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from penstock.commands import events_project, events_replay
from penstock.commands.event_options import (
    After,
    Attributes,
    Bus,
    Correlation,
    Database,
    Ids,
    KindOnly,
    Lines,
    Services,
    Since,
    Tenant,
    Topics,
    Trace,
    Until,
)
from penstock.commands.options import Data, Json

if TYPE_CHECKING:
    from penstock_common.events.event import StoredEvent
    from penstock_common.events.selection import Selection

MOST = 100_000

app = typer.Typer(
    help="What the services said: read from their outboxes, also while nothing runs but the database.",
    no_args_is_help=True,
)
app.command()(events_replay.replay)
app.command()(events_project.project)


@app.command()
def ls(  # noqa: PLR0913, PLR0917 (one parameter an option)
    since: Since = "",
    until: Until = "",
    topics: Topics = None,
    services: Services = None,
    tenant: Tenant = "",
    correlation: Correlation = "",
    trace: Trace = "",
    ids: Ids = None,
    attributes: Attributes = None,
    kind: KindOnly = None,
    after: After = "",
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=MOST, help="So many at most.")] = 50,
    stream: Annotated[str, typer.Option(help="As this stream of NATS has them, by sequence.")] = "",
    from_sequence: Annotated[int, typer.Option(min=1, help="With --stream: from this sequence on.")] = 1,
    from_archive: Annotated[
        bool, typer.Option("--from-archive", help="Read the archive, which keeps what outboxes have forgotten.")
    ] = False,
    archive: Annotated[
        str, typer.Option(help="With --from-archive: s3://bucket/folder or a folder; else the platform's.")
    ] = "",
    as_lines: Lines = False,
    data: Data = None,
    database: Database = None,
    bus: Bus = None,
) -> None:
    """List events: the newest ones, or with --after or --stream the first ones from there; the oldest stand first.

    Exit code 1 where a part of the archive is damaged: it is named and skipped.
    """
    from penstock.archiving.place import archive_url  # noqa: PLC0415 (start-up time of other commands)
    from penstock.events.choosing import Choice, selection_of  # noqa: PLC0415 (start-up time of other commands)
    from penstock.events.listing import Wanted, print_events  # noqa: PLC0415 (as above)

    choice = Choice(
        since, until, topics or (), services or (), tenant, correlation, trace, ids or (), attributes or (), kind or ""
    )
    place = archive_url(data, archive) if from_archive else ""
    wanted = Wanted(selection_of(choice), limit, after, stream, from_sequence, place)
    if _run(print_events(wanted, data, (database, bus), as_lines=as_lines)):
        raise typer.Exit(1)


@app.command()
def show(
    event: Annotated[str, typer.Argument(help="Its message id, or the id of its row.")],
    as_json: Json = False,
    data: Data = None,
    database: Database = None,
) -> None:
    """Show one event: its headers, its fields by its contract, and what became of it at each consumer.

    What is sealed is shown by its size alone. Exit code 1 where no outbox has the event.
    """
    from penstock.events.showing import show_event  # noqa: PLC0415 (as above)

    _run(show_event(event, data, database, as_json=as_json))


@app.command()
def tail(  # noqa: PLR0913, PLR0917 (one parameter an option)
    since: Since = "",
    topics: Topics = None,
    services: Services = None,
    tenant: Tenant = "",
    correlation: Correlation = "",
    trace: Trace = "",
    attributes: Attributes = None,
    kind: KindOnly = None,
    as_lines: Lines = False,
    data: Data = None,
    database: Database = None,
) -> None:
    """Show events as they are said, until Ctrl-C. None is left out, also where the bus is away."""
    from penstock.events.choosing import Choice, selection_of  # noqa: PLC0415 (as above)

    choice = Choice(
        since, "", topics or (), services or (), tenant, correlation, trace, (), attributes or (), kind or ""
    )
    _run(_tail(selection_of(choice), data, database, as_lines))


@app.command()
def export(  # noqa: PLR0913, PLR0917 (one parameter an option)
    since: Since = "",
    until: Until = "",
    topics: Topics = None,
    services: Services = None,
    tenant: Tenant = "",
    correlation: Correlation = "",
    trace: Trace = "",
    ids: Ids = None,
    attributes: Attributes = None,
    kind: KindOnly = None,
    after: After = "",
    to: Annotated[Path | None, typer.Option(help="This file, which may not exist; else standard output.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the file that an export began.")] = False,
    data: Data = None,
    database: Database = None,
) -> None:
    """Write events, oldest first, as lines of CloudEvents in structured JSON.

    At the end standard error says how many, and from where a later export goes on without leaving one out.
    """
    from penstock.events.choosing import Choice, selection_of  # noqa: PLC0415 (as above)
    from penstock.events.exporting import Target, run_export  # noqa: PLC0415 (as above)

    choice = Choice(
        since, until, topics or (), services or (), tenant, correlation, trace, ids or (), attributes or (), kind or ""
    )
    target = Target(to, after, resume=resume)
    done = _run(run_export(selection_of(choice), target, data, database))
    typer.echo(done.sentence, err=True)


@app.command()
def trace(
    request: Annotated[str, typer.Argument(help="The id of a request, run, document or event, or a trace id.")],
    as_json: Json = False,
    data: Data = None,
    database: Database = None,
) -> None:
    """Draw what a request led to over all services: when, for how long, and each decision with its reason.

    Exit code 0 where all of it ended and was handled, 1 where something is unfinished, lost or dead.
    """
    from penstock.events.tracing.command import print_trace  # noqa: PLC0415 (as above)

    raise typer.Exit(_run(print_trace(request, data, database, as_json=as_json)))


async def _tail(selection: "Selection", data: Path | None, database: str | None, as_lines: bool) -> None:
    from penstock.events.following import followed  # noqa: PLC0415 (as above)
    from penstock.events.listed import as_data, json_line, plain_line  # noqa: PLC0415 (as above)
    from penstock.events.source import database_of  # noqa: PLC0415 (as above)

    def told(sentence: str) -> None:
        typer.echo(f"penstock: {sentence}", err=True)

    events: AsyncIterator[StoredEvent] = followed(database_of(data, database), selection, told)
    async for event in events:
        print(json_line(as_data(event)) if as_lines else plain_line(event), flush=True)


def _run(job: Coroutine[Any, Any, Any]) -> Any:
    import asyncio  # noqa: PLC0415 (as above)

    return asyncio.run(job)
