"""`penstock up`."""

from typing import Annotated

import typer

from penstock.commands.options import Data, Json


def up(
    as_json: Json = False,
    data: Data = None,
    port: Annotated[int | None, typer.Option(help="Port of the API; 8080 or the next free one.")] = None,
    discover: Annotated[bool, typer.Option(help="Look for engines in the environment.")] = True,
    bus: Annotated[str | None, typer.Option(help="Use this bus: nats://… or amqp://…")] = None,
    database: Annotated[str | None, typer.Option(help="Use this database: postgresql://…")] = None,
) -> None:
    """Start the whole platform and keep it running until Ctrl-C.

    Everything it keeps lies in one folder: --data, else PENSTOCK_DATA, else /var/lib/penstock for root and
    ~/.local/share/penstock for others.
    """
    from penstock.platform.supervisor import Options  # noqa: PLC0415 (start-up time of other commands)
    from penstock.platform.up import run_platform  # noqa: PLC0415 (as above)

    options = Options(data=data, port=port, discover=discover, bus=bus, database=database)
    run_platform(options, as_json=as_json)
