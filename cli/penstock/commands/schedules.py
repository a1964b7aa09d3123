"""`penstock schedules`."""

import json
from typing import Annotated, Any
from uuid import UUID

import typer

from penstock.commands.options import Data, Json

PATH = "/api/v1/schedules"

app = typer.Typer(help="Schedules: what runs at which moments.", no_args_is_help=True)

Id = Annotated[UUID, typer.Argument(help="The schedule's id, as penstock schedules ls shows it.")]
Cron = Annotated[str | None, typer.Option(help="Five fields: minute hour day-of-month month day-of-week.")]
Zone = Annotated[str | None, typer.Option(help="Time zone of the expression, such as Europe/Berlin; UTC by default.")]
Every = Annotated[str | None, typer.Option(help="An interval: 30s, 5m, 1h, 1d.")]
At = Annotated[str | None, typer.Option(help="Once: 2030-01-31T12:00+01:00, or 10m for ten minutes from now.")]
Start = Annotated[str | None, typer.Option(help="Nothing is due before it; written as --at.")]
End = Annotated[str | None, typer.Option(help="Nothing is due after it; written as --at.")]


@app.command()
def ls(as_json: Json = False, data: Data = None) -> None:
    """Show the schedules."""
    with _client(data) as client:
        shown, after = [], None
        while page := client.get(PATH, after=after)["schedules"]:
            shown += page
            after = page[-1]["id"]
    if as_json:
        print(json.dumps({"schedules": shown}))
    else:
        _table(shown)


@app.command()
def add(  # noqa: PLR0913, PLR0917 (one parameter an option)
    name: Annotated[str, typer.Argument(help="For people to tell schedules apart.")],
    task: Annotated[str, typer.Option(help="The declared task that each tick runs.")],
    cron: Cron = None,
    zone: Zone = None,
    every: Every = None,
    at: At = None,
    start: Start = None,
    end: End = None,
    given: Annotated[str | None, typer.Option("--input", help="JSON for each run, or @file.")] = None,
    misfire: Annotated[
        str | None, typer.Option(help="Of ticks missed while nothing ran: skip, latest (default) or all.")
    ] = None,
    paused: Annotated[bool, typer.Option("--paused", help="Let nothing be due before it is resumed.")] = False,
    as_json: Json = False,
    data: Data = None,
) -> None:
    """Make a schedule: one of --cron, --every and --at."""
    options = {"cron": cron, "zone": zone, "every": every, "at": at, "start": start, "end": end}
    wanted = {"name": name, "task": task, "paused": paused, "input": _input(given), **_fields(options)}
    if misfire is not None:
        wanted["misfire"] = misfire
    with _client(data) as client:
        _tell(client, client.post(PATH, wanted), as_json, "added")


@app.command()
def show(schedule: Id, as_json: Json = False, data: Data = None) -> None:
    """Show one schedule with the input of its runs."""
    with _client(data) as client:
        shown = client.get(f"{PATH}/{schedule}")
    if as_json:
        print(json.dumps(shown))
        return
    for name, value in shown.items():
        if value is not None:
            print(f"{name:14} {value if isinstance(value, str) else json.dumps(value)}")


@app.command()
def preview(  # noqa: PLR0913, PLR0917 (one parameter an option)
    schedule: Annotated[UUID | None, typer.Argument(help="A schedule's id; or give a timing by the options.")] = None,
    cron: Cron = None,
    zone: Zone = None,
    every: Every = None,
    at: At = None,
    start: Start = None,
    end: End = None,
    count: Annotated[int, typer.Option(min=1, max=100, help="How many moments.")] = 5,
    as_json: Json = False,
    data: Data = None,
) -> None:
    """Show the next moments, with local times that the zone's clock skips or repeats."""
    options = {"cron": cron, "zone": zone, "every": every, "at": at, "start": start, "end": end}
    wanted = _fields(options)
    if (schedule is None) == (not wanted):
        raise typer.BadParameter("give either a schedule's id or one of --cron, --every and --at.")
    with _client(data) as client:
        if schedule is not None:
            found = client.get(f"{PATH}/{schedule}/preview", count=str(count))
        else:
            found = client.post(f"{PATH}/preview", {**wanted, "count": count})
    if as_json:
        print(json.dumps(found))
    else:
        _moments(found["moments"])


@app.command()
def pause(schedule: Id, as_json: Json = False, data: Data = None) -> None:
    """Let nothing be due until the schedule is resumed."""
    with _client(data) as client:
        _tell(client, client.post(f"{PATH}/{schedule}/pause", None), as_json, "paused")


@app.command()
def resume(schedule: Id, as_json: Json = False, data: Data = None) -> None:
    """Go on from now; what would have been due meanwhile is not caught up."""
    with _client(data) as client:
        _tell(client, client.post(f"{PATH}/{schedule}/resume", None), as_json, "resumed")


@app.command()
def rm(schedule: Id, as_json: Json = False, data: Data = None) -> None:
    """Remove a schedule; its runs stay."""
    from penstock.ordered import await_schedule  # noqa: PLC0415 (start-up time of other commands)

    with _client(data) as client:
        await_schedule(client, f"{PATH}/{schedule}", client.delete(f"{PATH}/{schedule}"), lambda shown: shown is None)
    print(json.dumps({"id": str(schedule)}) if as_json else f"removed: {schedule}")


def _tell(client: Any, answer: dict[str, Any], as_json: bool, done: str) -> None:
    from penstock.ordered import await_schedule  # noqa: PLC0415 (as above)
    from penstock.timings import clock, when  # noqa: PLC0415 (as above)

    def holds(shown: dict[str, Any] | None) -> bool:
        return bool(shown and "version" in shown and (done == "added" or shown["paused"] is (done == "paused")))

    shown = await_schedule(client, f"{PATH}/{answer['id']}", answer, holds)
    if as_json:
        print(json.dumps(shown or answer))
    elif not holds(shown):
        print(f"ordered: {answer['id']} (the scheduler is behind; it will be {done} soon)")
    else:
        following = f", next at {clock(shown['next_at'])}" if shown["next_at"] else ""
        print(f"{done}: {answer['id']} {shown['name']}, {when(shown)}{following}")


def _fields(options: dict[str, Any]) -> dict[str, Any]:
    from datetime import UTC, datetime  # noqa: PLC0415 (as above)

    from penstock.timings import timing_fields  # noqa: PLC0415 (as above)

    try:
        return timing_fields(options, datetime.now(UTC))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def _input(given: str | None) -> Any:
    from penstock.timings import input_of  # noqa: PLC0415 (as above)

    try:
        return input_of(given)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def _client(data: Any) -> Any:
    from penstock.client import Client  # noqa: PLC0415 (as above)
    from penstock.platform.folder import DataFolder  # noqa: PLC0415 (as above)

    return Client.of(DataFolder.at(data))


def _table(schedules: list[dict[str, Any]]) -> None:
    from penstock.tables import console, table  # noqa: PLC0415 (as above)
    from penstock.timings import clock, when  # noqa: PLC0415 (as above)

    shown = table("id", "name", "task", "when", "next", "last")
    for schedule in schedules:
        following = "paused" if schedule["paused"] else clock(schedule["next_at"])
        cells = (schedule["id"], schedule["name"], schedule["task"], when(schedule))
        shown.add_row(*cells, following, clock(schedule["last_at"]))
    console().print(shown)


def _moments(moments: list[dict[str, Any]]) -> None:
    from penstock.tables import console, table  # noqa: PLC0415 (as above)
    from penstock.timings import NOTES, clock  # noqa: PLC0415 (as above)

    shown = table("local", "UTC", "")
    for moment in moments:
        shown.add_row(moment["local"], clock(moment["due_at"]), NOTES.get(moment["note"], ""))
    console().print(shown)
