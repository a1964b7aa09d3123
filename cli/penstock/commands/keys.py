"""`penstock keys`."""

import json
from typing import Annotated, Any
from uuid import UUID

import typer

from penstock.commands.options import Data, Json

PATH = "/api/v1/keys"
WIDTH = 120  # columns, so that no id is cut; a narrower terminal wraps

app = typer.Typer(help="API keys of the platform's own project.", no_args_is_help=True)


@app.command()
def create(
    name: Annotated[str, typer.Option(help="For people to tell keys apart.")] = "",
    expires: Annotated[str | None, typer.Option(help="When it ends: 30d, 12h, 2w or 2030-01-31.")] = None,
    scope: Annotated[
        list[str] | None,
        typer.Option(
            help="What it may do: chat, usage:read, keys:write, knowledge:read, knowledge:write, admin, *; repeatable."
        ),
    ] = None,
    tier: Annotated[
        str, typer.Option(help="standard or enterprise, for which slots are kept where more come than there are.")
    ] = "standard",
    as_json: Json = False,
    data: Data = None,
) -> None:
    """Make a key and print it; it is shown this once."""
    wanted: dict[str, Any] = {"name": name, "tier": tier}
    if scope:
        wanted["scopes"] = scope
    if expires is not None:
        wanted["expires_at"] = _end(expires)
    with _client(data) as client:
        made = client.post(PATH, wanted)
    if as_json:
        print(json.dumps(made))
    else:
        print(made["key"])
        typer.echo(f"Keep it: it is not shown again. To revoke it: penstock keys revoke {made['id']}", err=True)


@app.command("list")
def list_(as_json: Json = False, data: Data = None) -> None:
    """Show the keys, revoked ones included."""
    with _client(data) as client:
        answer = client.get(PATH)
    if as_json:
        print(json.dumps(answer))
    else:
        _show(answer["keys"])


@app.command()
def revoke(
    key: Annotated[UUID, typer.Argument(help="The key's id, as penstock keys list shows it.")],
    as_json: Json = False,
    data: Data = None,
) -> None:
    """Revoke a key; within a second nothing accepts it."""
    with _client(data) as client:
        revoked = client.delete(f"{PATH}/{key}")
    print(json.dumps(revoked) if as_json else f"revoked: {revoked['name'] or revoked['prefix']}")


def _end(expires: str) -> str:
    from datetime import UTC, datetime  # noqa: PLC0415 (start-up time of other commands)

    from penstock.expiry import expiry_of  # noqa: PLC0415 (as above)

    try:
        return expiry_of(expires, datetime.now(UTC)).isoformat()
    except ValueError as error:
        raise typer.BadParameter(f"{error}.", param_hint="--expires") from error


def _client(data: Any) -> Any:
    from penstock.client import Client  # noqa: PLC0415 (as above)
    from penstock.platform.folder import DataFolder  # noqa: PLC0415 (as above)

    return Client.of(DataFolder.at(data))


def _show(keys: list[dict[str, Any]]) -> None:
    from rich.console import Console  # noqa: PLC0415 (as above)
    from rich.table import Column, Table  # noqa: PLC0415 (as above)

    table = Table(Column("id", no_wrap=True), "begins with", "name", "scopes", "tier", "state", box=None)
    for key in keys:
        table.add_row(key["id"], key["prefix"], key["name"], " ".join(key["scopes"]), key["tier"], _state(key))
    Console(width=WIDTH).print(table)


def _state(key: dict[str, Any]) -> str:
    if key["revoked_at"]:
        return "revoked"
    until = f"until {key['expires_at'][:10]}, " if key["expires_at"] else ""
    return f"{until}used {key['last_used_at'][:10]}" if key["last_used_at"] else f"{until}never used"
