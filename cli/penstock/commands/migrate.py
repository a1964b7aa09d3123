"""`penstock migrate`."""

from typing import Annotated

import typer

from penstock.commands.options import Data


def migrate(
    database: Annotated[
        str | None, typer.Option(help="This database, as a role that owns the services' schemas or may make them.")
    ] = None,
    data: Data = None,
) -> None:
    """Bring the schemas of all services to this version; two at once take turns.

    `penstock up` does this by itself. Without --database: the database of the platform that runs on --data.
    """
    import asyncio  # noqa: PLC0415 (start-up time of other commands)

    from penstock import migrating  # noqa: PLC0415 (as above)

    for step in asyncio.run(migrating.migrate(migrating.service_urls(data, database))):
        typer.echo(str(step))
