"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

Data = Annotated[
    Path | None,
    typer.Option(
        "--data",
        envvar="PENSTOCK_DATA",
        help="The platform's data folder; its default depends on the user (see penstock up --help).",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one line of JSON and nothing else.")]
