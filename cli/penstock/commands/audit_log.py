"""`penstock audit log`."""

import json
from typing import Annotated, Any
from uuid import UUID

import typer

from penstock.commands.options import Data, Json

PATH = "/api/v1/admin/audit"
PAGE = 100
SHOWN = 120  # characters of the details on a line


def log(  # noqa: PLR0913, PLR0917 (one parameter an option)
    act: Annotated[str | None, typer.Option(help="This act, or all that begin with these words: dead-letters.")] = None,
    actor: Annotated[str | None, typer.Option(help="Who did it: user@host, or key:ID.")] = None,
    act_id: Annotated[UUID | None, typer.Option("--id", help="One act, from its beginning to its end.")] = None,
    since: Annotated[str | None, typer.Option(help="What was done in the last 30s, 5m, 1h, 1d.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many entries at most.")] = PAGE,
    as_json: Json = False,
    data: Data = None,
) -> None:
    """Show what operators did, the newest first."""
    from penstock.client import Client  # noqa: PLC0415 (start-up time of other commands)
    from penstock.platform.folder import DataFolder  # noqa: PLC0415 (as above)

    query = {"act": act, "actor": actor, "act_id": str(act_id) if act_id else None, "since": _since(since)}
    with Client.of(DataFolder.at(data)) as client:
        entries: list[dict[str, Any]] = []
        while len(entries) < limit:
            before = entries[-1]["id"] if entries else None
            page = client.get(PATH, **query, before=before, limit=str(min(PAGE, limit - len(entries))))["entries"]
            if not page:
                break
            entries += page
    if as_json:
        print(json.dumps({"entries": entries}))
    else:
        _table(entries)


def _since(text: str | None) -> str | None:
    from datetime import UTC, datetime, timedelta  # noqa: PLC0415 (as above)

    from penstock.timings import seconds_of  # noqa: PLC0415 (as above)

    if text is None:
        return None
    try:
        return (datetime.now(UTC) - timedelta(seconds=seconds_of(text))).isoformat()
    except (ValueError, OverflowError) as error:
        raise typer.BadParameter(f"{error}.", param_hint="--since") from error


def _table(entries: list[dict[str, Any]]) -> None:
    from penstock.tables import console, table  # noqa: PLC0415 (as above)
    from penstock.timings import clock  # noqa: PLC0415 (as above)

    shown = table("at", "act", "phase", "by", "details", "id")
    for entry in entries:
        details = ", ".join(f"{name} {value}" for name, value in entry["details"].items())
        cells = (clock(entry["at"]), entry["act"], entry["phase"], entry["actor"], details[:SHOWN], entry["act_id"])
        shown.add_row(*cells)
    console().print(shown)
