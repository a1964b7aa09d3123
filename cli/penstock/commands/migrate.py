"""`penstock migrate`."""

from typing import Annotated

import typer

from penstock.commands.options import Data


def migrate(
    database: Annotated[
        str | None, typer.Option(help="This database, as a role that owns the services' schemas or may make them.")
    ] = None,
    roles: Annotated[
        bool,
        typer.Option(
            "--roles",
            help="First make each service's role and schema; needs a superuser, and each role's password in "
            "PENSTOCK_PASSWORD_API and so on.",
        ),
    ] = False,
    data: Data = None,
) -> None:
    """Bring the schemas of all services to this version; two at once take turns.

    `penstock up` does this by itself. Without --database: the database of the platform that runs on --data.
    """
    import asyncio  # noqa: PLC0415 (start-up time of other commands)

    from penstock import migrating  # noqa: PLC0415 (as above)
    from penstock.progress import progress  # noqa: PLC0415 (as above)

    urls = asyncio.run(migrating.urls_with_roles(data, database)) if roles else migrating.service_urls(data, database)
    with progress("migrating", len(urls)) as done:
        steps = asyncio.run(migrating.migrate(urls, done))
    for step in steps:
        typer.echo(str(step))
