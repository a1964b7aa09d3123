"""`penstock dlq`."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple
from uuid import UUID

import typer

from penstock.commands.dlq_options import (
    All,
    Code,
    Consumer,
    DryRun,
    Id,
    Ids,
    Newer,
    Older,
    States,
    Tenant,
    Topic,
    Yes,
)
from penstock.commands.options import Data, Json

if TYPE_CHECKING:
    from penstock.client import Client
    from penstock.deadletters.choosing import Filters

app = typer.Typer(help="Dead letters: messages that could not be handled.", no_args_is_help=True)


@app.command()
def ls(  # noqa: PLR0913, PLR0917 (one parameter an option)
    consumer: Consumer = None,
    topic: Topic = None,
    tenant: Tenant = None,
    code: Code = None,
    state: States = None,
    older: Older = None,
    newer: Newer = None,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 100,
    as_json: Json = False,
    data: Data = None,
) -> None:
    """Show dead letters, the oldest first."""
    from penstock.deadletters.paging import letters  # noqa: PLC0415 (start-up time of other commands)
    from penstock.deadletters.showing import show_list  # noqa: PLC0415 (as above)

    fields = _fields(_filters(consumer, topic, tenant, code, state, older, newer))
    with _client(data) as client:
        found = list(letters(client, fields, limit))
    if as_json:
        print(json.dumps({"dead_letters": found}))
    else:
        show_list(found)


@app.command()
def show(letter: Id, as_json: Json = False, data: Data = None) -> None:
    """Show one with payload, attempts, and what a retry would do; sealed text stays sealed."""
    from penstock.deadletters.choosing import PATH  # noqa: PLC0415 (as above)
    from penstock.deadletters.showing import lines_of  # noqa: PLC0415 (as above)

    with _client(data) as client:
        found = client.get(f"{PATH}/{letter}")
    print(json.dumps(found) if as_json else "\n".join(lines_of(found)))


@app.command()
def retry(  # noqa: PLR0913, PLR0917 (as above)
    ids: Ids = None,
    consumer: Consumer = None,
    topic: Topic = None,
    tenant: Tenant = None,
    code: Code = None,
    state: States = None,
    older: Older = None,
    newer: Newer = None,
    everything: All = False,
    rate: Annotated[float, typer.Option(min=0.01, max=1000, help="Letters a second.")] = 10.0,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: Json = False,
    data: Data = None,
) -> None:
    """Have dead letters tried again by their own consumer alone; its inbox skips what it has handled."""
    fields = _fields(_filters(consumer, topic, tenant, code, state, older, newer), ids, everything) | {"rate": rate}
    _act("retry", "tried again", fields, Manner(data, dry_run, yes or bool(ids), as_json))


@app.command()
def drop(  # noqa: PLR0913, PLR0917 (as above)
    ids: Ids = None,
    consumer: Consumer = None,
    topic: Topic = None,
    tenant: Tenant = None,
    code: Code = None,
    state: States = None,
    older: Older = None,
    newer: Newer = None,
    everything: All = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: Json = False,
    data: Data = None,
) -> None:
    """Let dead letters not be tried again; for 90 days they can still be shown and retried (--state dropped)."""
    fields = _fields(_filters(consumer, topic, tenant, code, state, older, newer), ids, everything)
    _act("drop", "dropped", fields, Manner(data, dry_run, yes or bool(ids), as_json))


@app.command()
def ack(  # noqa: PLR0913, PLR0917 (as above)
    ids: Ids = None,
    consumer: Consumer = None,
    topic: Topic = None,
    tenant: Tenant = None,
    code: Code = None,
    older: Older = None,
    newer: Newer = None,
    everything: All = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: Json = False,
    data: Data = None,
) -> None:
    """Say that somebody knows of dead letters: metric, alert and doctor count them no more."""
    fields = _fields(_filters(consumer, topic, tenant, code, None, older, newer), ids, everything)
    _act("acknowledge", "acknowledged", fields, Manner(data, dry_run, yes or bool(ids), as_json))


@app.command()
def edit(
    letter: Id,
    changes: Annotated[
        list[str] | None, typer.Option("--set", help="FIELD=VALUE, the value as JSON or plain text; null removes it.")
    ] = None,
    payload: Annotated[str | None, typer.Option(help="Another payload altogether: JSON, or @file.")] = None,
    as_json: Json = False,
    data: Data = None,
) -> None:
    """Give the next attempts another payload, which has to fit the topic; the original stays."""
    from penstock.deadletters.choosing import PATH  # noqa: PLC0415 (as above)
    from penstock.deadletters.editing import change_of  # noqa: PLC0415 (as above)
    from penstock.deadletters.showing import lines_of  # noqa: PLC0415 (as above)

    try:
        change = change_of(changes or (), payload)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    with _client(data) as client:
        found = client.put(f"{PATH}/{letter}/payload", change)
    print(json.dumps(found) if as_json else "\n".join(lines_of(found)))


@app.command()
def export(  # noqa: PLR0913, PLR0917 (as above)
    consumer: Consumer = None,
    topic: Topic = None,
    tenant: Tenant = None,
    code: Code = None,
    state: States = None,
    older: Older = None,
    newer: Newer = None,
    to: Annotated[Path | None, typer.Option(help="Write into this new file; to standard output by default.")] = None,
    data: Data = None,
) -> None:
    """Write dead letters with headers and body (base64), one line of JSON each."""
    from penstock.deadletters.paging import exported, written  # noqa: PLC0415 (as above)

    fields = _fields(_filters(consumer, topic, tenant, code, state, older, newer))
    with _client(data) as client:
        count = written(exported(client, fields), to)
    typer.echo(f"{count} dead letter(s) exported", err=True)


def _filters(  # noqa: PLR0913, PLR0917 (as above)
    consumer: str | None,
    topic: str | None,
    tenant: str | None,
    code: str | None,
    states: Sequence[str] | None,
    older: str | None,
    newer: str | None,
) -> "Filters":
    from penstock.deadletters.choosing import Filters  # noqa: PLC0415 (as above)

    chosen = {"consumer": consumer, "topic": topic, "tenant": tenant, "code": code, "older": older, "newer": newer}
    return Filters(**chosen, states=tuple(states or ()))


def _fields(filters: "Filters", ids: Sequence[UUID] | None = None, everything: bool = False) -> dict[str, Any]:
    from penstock.deadletters.choosing import EVERY_STATE, now_utc  # noqa: PLC0415 (as above)

    try:
        fields = filters.fields(now_utc())
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    if ids:
        fields = {"states": list(EVERY_STATE), **fields, "ids": [str(one) for one in ids]}
    return {**fields, "everything": True} if everything else fields


class Manner(NamedTuple):
    """How something is done, whatever it is."""

    data: Path | None
    dry_run: bool
    yes: bool
    as_json: bool


def _act(path: str, word: str, fields: dict[str, Any], manner: Manner) -> None:
    """Count, ask, and do exactly what was counted. Exit code 1 where letters were named and it can be done to none."""
    from penstock.deadletters.choosing import PATH  # noqa: PLC0415 (as above)
    from penstock.deadletters.showing import counts_of  # noqa: PLC0415 (as above)

    with _client(manner.data) as client:
        done = client.post(f"{PATH}/{path}", {**fields, "dry_run": True})
        if not manner.dry_run and done["count"]:
            if not manner.yes:
                typer.echo("\n".join(counts_of(done, word)), err=True)
                typer.confirm("Go on?", abort=True, err=True)
            done = client.post(f"{PATH}/{path}", {**fields, "up_to": done["up_to"]})
    print(json.dumps(done) if manner.as_json else "\n".join(counts_of(done, word)))
    if "ids" in fields and not done["count"]:
        raise typer.Exit(1)


def _client(data: Path | None) -> "Client":
    from penstock.client import Client  # noqa: PLC0415 (as above)
    from penstock.platform.folder import DataFolder  # noqa: PLC0415 (as above)

    return Client.of(DataFolder.at(data))
