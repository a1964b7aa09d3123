"""`penstock tasks`."""

import json
from typing import Annotated, Any
from urllib.parse import quote

import typer

from penstock.commands.options import Data, Json

PATH = "/api/v1/tasks"
PAGE = 200

app = typer.Typer(help="What runs are made of: declared chains of steps.", no_args_is_help=True)


@app.command()
def apply(
    file: Annotated[str, typer.Argument(help="YAML or JSON with `name` and `steps`; - for standard input.")],
    name: Annotated[str | None, typer.Option(help="Instead of the name in the file.")] = None,
    as_json: Json = False,
    data: Data = None,
) -> None:
    """Declare a task, or replace the one of this name."""
    from penstock.declarations import read_declaration  # noqa: PLC0415 (start-up time of other commands)

    given, declaration = read_declaration(file, name)
    with _client(data) as client:
        saved = client.put(_place(given), declaration)
    print(json.dumps(saved) if as_json else f"saved: {given}")


@app.command()
def ls(as_json: Json = False, data: Data = None) -> None:
    """Show the tasks."""
    with _client(data) as client:
        tasks = list(_all(client))
    if as_json:
        print(json.dumps({"tasks": tasks}))
        return
    for task in tasks:
        print(f"{task['name']:<32} version {task['version']:<4} saved {task['saved_at'][:19]}Z")


@app.command()
def show(name: str, data: Data = None) -> None:
    """Print a task's declaration as JSON; secrets of webhooks are left out."""
    with _client(data) as client:
        print(json.dumps(client.get(_place(name))["declaration"], indent=2, ensure_ascii=False))


@app.command()
def rm(name: str, as_json: Json = False, data: Data = None) -> None:
    """Remove a task; its runs stay."""
    with _client(data) as client:
        client.delete(_place(name))
    print(json.dumps({"name": name}) if as_json else f"removed: {name}")


def _all(client: Any) -> Any:
    after = ""
    while True:
        page = client.get(PATH, after=after, limit=str(PAGE))["tasks"]
        yield from page
        if len(page) < PAGE:
            return
        after = page[-1]["name"]


def _place(name: str) -> str:
    return f"{PATH}/{quote(name, safe='')}"


def _client(data: Any) -> Any:
    from penstock.client import Client  # noqa: PLC0415 (as above)
    from penstock.platform.folder import DataFolder  # noqa: PLC0415 (as above)

    return Client.of(DataFolder.at(data))
