"""Options that the commands about events share: which of them are meant, and where they are read."""

from enum import StrEnum
from typing import Annotated

import typer


class WantedKind(StrEnum):
    """What a message is for."""

    EVENT = "event"
    COMMAND = "command"


Since = Annotated[str, typer.Option(help="From then on: 30s, 10m, 2h, 1d, or a time.")]
Until = Annotated[str, typer.Option(help="Before then: 30s, 10m, 2h, 1d ago, or a time.")]
Topics = Annotated[
    list[str] | None,
    typer.Option("--topic", help="Of this topic; `*` is one part, a last `>` all that follow. May be repeated."),
]
Services = Annotated[list[str] | None, typer.Option("--service", help="Said by this service. May be repeated.")]
Tenant = Annotated[str, typer.Option(help="Of this tenant, by its id.")]
Correlation = Annotated[str, typer.Option(help="About this request, run, document, …: the correlation id.")]
Trace = Annotated[str, typer.Option("--trace", help="Of this trace: 32 hex digits.")]
Ids = Annotated[list[str] | None, typer.Option("--id", help="With this message id. May be repeated.")]
Attributes = Annotated[
    list[str] | None,
    typer.Option("--attribute", help="With this CloudEvents attribute, NAME=VALUE. May be repeated."),
]
KindOnly = Annotated[WantedKind | None, typer.Option("--kind", help="Facts, or what was asked for.")]
Database = Annotated[
    str | None, typer.Option(help="Read this database, as a role that may read the schemas of all services.")
]
Bus = Annotated[str | None, typer.Option(help="This bus: nats://… or amqp://…; else that of the platform on --data.")]
After = Annotated[str, typer.Option(help="Go on behind the event of this row id, as --json and export show it.")]
Lines = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]
