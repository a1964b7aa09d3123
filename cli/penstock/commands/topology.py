"""`penstock topology`."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from penstock.commands.options import Data, Json

app = typer.Typer(help="What may exist on the bus: streams, topics, consumers.", no_args_is_help=True)
Bus = Annotated[
    str | None, typer.Option(help="This bus: nats://… or amqp://…; without it that of the platform on --data.")
]
Watch = Annotated[
    bool, typer.Option("--watch", help="Stay, and apply it again whenever the bus has lost something of it.")
]


@app.command()
def show(as_json: Json = False) -> None:
    """Show what is declared; asks no server."""
    from penstock.declared import declared, print_declared  # noqa: PLC0415 (start-up time of other commands)
    from penstock_common.topology import PLATFORM  # noqa: PLC0415 (as above)

    if as_json:
        print(json.dumps(declared(PLATFORM)))
    else:
        print_declared(PLATFORM)


@app.command()
def diff(bus: Bus = None, data: Data = None, as_json: Json = False) -> None:
    """Show what apply would change, without changing it. Exit code 1 where there is anything."""
    from penstock_common.messaging.connect import diff_topology  # noqa: PLC0415 (as above)

    changes = _ask(diff_topology, bus, data)
    _print(changes, as_json, "the bus is as declared")
    raise typer.Exit(1 if changes else 0)


@app.command()
def apply(bus: Bus = None, data: Data = None, as_json: Json = False, watch: Watch = False) -> None:
    """Make the bus match what is declared; never removes what holds messages."""
    from penstock_common.messaging.connect import apply_topology, keep_topology  # noqa: PLC0415 (as above)

    _print(_ask(apply_topology, bus, data), as_json, "nothing to change")
    if watch:
        _ask(
            lambda url: keep_topology(
                url,
                lambda changes: _print(changes, as_json, ""),
                lambda reason: typer.echo(f"can't be applied: {reason}", err=True),
            ),
            bus,
            data,
        )


def _ask(job: Any, bus: str | None, data: Path | None) -> list[str]:
    import asyncio  # noqa: PLC0415 (as above)

    from penstock.platform.errors import PlatformError  # noqa: PLC0415 (as above)
    from penstock.platform.folder import DataFolder  # noqa: PLC0415 (as above)
    from penstock.platform.state import running  # noqa: PLC0415 (as above)

    url = bus or running(DataFolder.at(data)).bus
    try:
        lines: list[str] = asyncio.run(job(url))
    except ValueError as error:
        raise PlatformError(f"{url} can't be used: {error}.") from error
    return lines


def _print(changes: Sequence[str], as_json: bool, nothing: str) -> None:
    if as_json:
        print(json.dumps({"changes": list(changes)}), flush=True)
    else:
        typer.echo("\n".join(changes) or nothing)
