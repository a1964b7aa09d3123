"""`penstock doctor`."""

from typing import Annotated

import typer

from penstock.commands.options import Data, Json


def doctor(
    as_json: Json = False,
    data: Data = None,
    bus: Annotated[str | None, typer.Option(help="Check this bus instead of the running platform's.")] = None,
    database: Annotated[str | None, typer.Option(help="Check this database instead of the platform's.")] = None,
    port: Annotated[int | None, typer.Option(help="Check that the API can have this port.", min=1, max=65535)] = None,
) -> None:
    """Find what is wrong, where, and how to mend it, also where nothing runs. Exit code 1 where something is."""
    import asyncio  # noqa: PLC0415 (start-up time of other commands)
    import json  # noqa: PLC0415 (as above)

    from penstock.doctor.examination import EVERYWHERE, HERE, admitted, examine  # noqa: PLC0415 (as above)
    from penstock.doctor.show import as_data, is_healthy, print_findings  # noqa: PLC0415 (as above)
    from penstock.progress import progress  # noqa: PLC0415 (as above)

    patient = admitted(data, bus, database, port)
    with progress("examining", len(HERE) + len(EVERYWHERE)) as done:
        findings = asyncio.run(examine(patient, done))
    if as_json:
        print(json.dumps(as_data(findings)))
    else:
        print_findings(findings)
    raise typer.Exit(0 if is_healthy(findings) else 1)
