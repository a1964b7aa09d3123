"""The options of `penstock dlq`."""

from typing import Annotated
from uuid import UUID

import typer

Id = Annotated[UUID, typer.Argument(help="The dead letter's id, as penstock dlq ls shows it.")]
Ids = Annotated[list[UUID] | None, typer.Argument(help="Ids of dead letters; or choose them by the options.")]
Consumer = Annotated[str | None, typer.Option(help="Of this consumer; billing-* for all that begin so.")]
Topic = Annotated[str | None, typer.Option(help="On this topic; inference.* for all that begin so.")]
Tenant = Annotated[str | None, typer.Option(help="Of this project.")]
Code = Annotated[str | None, typer.Option(help="That failed with this error code at last.")]
States = Annotated[
    list[str] | None,
    typer.Option("--state", help="waiting, acknowledged, due, retried, dropped or all; the first two by default."),
]
Older = Annotated[str | None, typer.Option(help="That failed longer ago than this: 30s, 5m, 1h, 1d.")]
Newer = Annotated[str | None, typer.Option(help="That failed since then: 30s, 5m, 1h, 1d ago.")]
All = Annotated[bool, typer.Option("--all", help="All of them; has to be said where no other option chooses.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Count, and do nothing.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
