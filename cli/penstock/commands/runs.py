"""`penstock runs`."""

import json
import sys
from typing import Annotated, Any
from uuid import UUID

import typer

from penstock.commands.options import Data, Json

PATH = "/api/v1/runs"
RECONNECTS = 30
PAUSE = 1.0  # seconds before a cut stream is taken up again
SHOWN = 160  # characters of a value on a line

app = typer.Typer(help="Tasks on their way.", no_args_is_help=True)

RunId = Annotated[UUID, typer.Argument(help="The run's id, as penstock runs ls shows it.")]


@app.command()
def start(
    task: Annotated[str, typer.Argument(help="The name of a declared task.")],
    given: Annotated[str, typer.Option("--input", help="JSON that the task's templates see as `input`.")] = "null",
    watch: Annotated[bool, typer.Option("--watch", help="Show its steps, and exit 1 if it fails.")] = False,
    as_json: Json = False,
    data: Data = None,
) -> None:
    """Run a task once."""
    body = {"task": task, "input": _parsed(given)}
    with _client(data) as client:
        run_id = client.post(PATH, body)["id"]
        if not watch:
            print(json.dumps({"id": run_id}) if as_json else run_id)
            return
        _follow(client, run_id, as_json)


@app.command()
def ls(
    task: Annotated[str | None, typer.Option(help="Only runs of this task.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=200)] = 20,
    as_json: Json = False,
    data: Data = None,
) -> None:
    """Show the newest runs."""
    with _client(data) as client:
        answer = client.get(PATH, task=task, limit=str(limit))
    if as_json:
        print(json.dumps(answer))
        return
    for run in answer["runs"]:
        progress = f"{run['step']}/{run['steps'] or '?'}"
        name = run["task"] or "(its own)"
        when = run["created_at"][:19]
        print(f"{run['id']}  {name:<24} {run['state']:<10} {progress:<6} {when}Z  {run['error_code']}".rstrip())


@app.command()
def show(run: RunId, data: Data = None) -> None:
    """Print a run with its input and output as JSON."""
    with _client(data) as client:
        print(json.dumps(client.get(f"{PATH}/{run}"), indent=2, ensure_ascii=False))


@app.command()
def watch(run: RunId, as_json: Json = False, data: Data = None) -> None:
    """Show a run's steps as they end; exit 1 if it does not succeed."""
    with _client(data) as client:
        client.get(f"{PATH}/{run}")
        _follow(client, str(run), as_json)


@app.command()
def cancel(run: RunId, as_json: Json = False, data: Data = None) -> None:
    """End a run before its next step."""
    with _client(data) as client:
        ended = client.post(f"{PATH}/{run}/cancel", None)
    print(json.dumps(ended) if as_json else f"{ended['state']}: {run}")


def _follow(client: Any, run_id: str, as_json: bool) -> None:
    """Print the journal to its end; a stream that is cut is taken up where it was."""
    for event in _events(client, run_id):
        print(json.dumps(event) if as_json else _line(event), flush=True)
    run = client.get(f"{PATH}/{run_id}")
    if not as_json and run["output"] is not None:
        print(json.dumps(run["output"], indent=2, ensure_ascii=False))
    if run["state"] != "succeeded":
        sys.exit(1)


def _events(client: Any, run_id: str) -> Any:
    import time  # noqa: PLC0415 (start-up time of other commands)

    from penstock.client import ApiUnreachable  # noqa: PLC0415 (as above)

    after, attempts = 0, 0
    while attempts <= RECONNECTS:
        try:
            for event in client.events(f"{PATH}/{run_id}/events", after):
                after, attempts = int(event["id"]), 0
                yield event
                if event["event"] == "run.finished":
                    return
        except ApiUnreachable:
            if attempts == RECONNECTS:
                raise
        attempts += 1
        time.sleep(PAUSE)


def _line(event: dict[str, Any]) -> str:
    data = event["data"]
    detail = data["detail"]
    said = detail.get("error") or detail.get("output") or detail.get("state") or ""
    text = said if isinstance(said, str) else json.dumps(said, ensure_ascii=False)
    return f"{data['at'][11:19]} {event['event']:<15} {data['step']:<16} {text[:SHOWN]}".rstrip()


def _parsed(given: str) -> Any:
    try:
        return json.loads(given)
    except json.JSONDecodeError as error:
        reason = f"it is not JSON: {error.msg} at column {error.colno}; texts stand in double quotes."
        raise typer.BadParameter(reason, param_hint="--input") from error


def _client(data: Any) -> Any:
    from penstock.client import Client  # noqa: PLC0415 (as above)
    from penstock.platform.folder import DataFolder  # noqa: PLC0415 (as above)

    return Client.of(DataFolder.at(data))
