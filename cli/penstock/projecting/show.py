"""What came of making a projection anew, for people and for scripts."""

import msgspec
import typer

from penstock.projecting.run import Projected
from penstock.tables import console, table


def show(projected: Projected, *, as_json: bool) -> None:
    """Counts, and the first rows that differ."""
    difference = projected.difference
    if as_json:
        told = {"projection": projected.name, "events": projected.events, "swapped": projected.swapped}
        print(msgspec.json.encode({**told, **difference.as_json(), "damaged": projected.damaged}).decode())
        return
    rows = table("row", "is", "events make")
    for row in difference.rows:
        rows.add_row(*(_told(side) for side in (row.key, row.live, row.made)))
    if rows.row_count:
        console().print(rows)
    counts = f"{difference.missing} missing, {difference.differing} differing, {difference.surplus} too many"
    typer.echo(f"{projected.name}, made anew from {projected.events} events: {counts}.")
    if projected.swapped:
        typer.echo("It is now as the events make it.")
    elif difference.total:
        typer.echo(f"Nothing was changed. To put it right: penstock events project {projected.name} --swap")


def _told(side: object) -> str:
    return msgspec.json.encode(side).decode() if side else "no row"
