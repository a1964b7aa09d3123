"""`penstock reconcile`."""

from typing import Annotated

import typer

from penstock.commands.options import Data, Json


def reconcile(
    as_json: Json = False,
    data: Data = None,
    database: Annotated[
        str | None, typer.Option(help="Read this database, as a role that may read all three schemas.")
    ] = None,
    settle: Annotated[
        float, typer.Option(min=0, help="Seconds to wait for what is still under way before it counts.")
    ] = 15.0,
) -> None:
    """Compare what api accepted, inference ended, the ledger holds and the engine counted.

    Exit code 0 where they agree, 1 with each difference and its request, 2 where the records can't be read.
    """
    import asyncio  # noqa: PLC0415 (start-up time of other commands)
    import json  # noqa: PLC0415 (as above)

    from penstock.reconcile.run import reconcile as compare  # noqa: PLC0415 (as above)
    from penstock.reconcile.run import records_of  # noqa: PLC0415 (as above)
    from penstock.reconcile.show import show  # noqa: PLC0415 (as above)

    report = asyncio.run(compare(records_of(data, database), settle))
    if as_json:
        print(json.dumps(report.as_json()))
    else:
        show(report)
    raise typer.Exit(0 if report.clean else 1)
