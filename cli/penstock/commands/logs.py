"""`penstock logs`."""

from collections import deque
from collections.abc import Iterator
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from penstock.commands.options import Data

if TYPE_CHECKING:
    from penstock.logs.entry import Entry

KNOWN = ("api", "inference", "billing", "worker", "scheduler", "indexer", "nats", "postgres")


class Level(StrEnum):
    """From harmless to bad."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"


def _completed(incomplete: str) -> list[str]:
    return [name for name in KNOWN if name.startswith(incomplete)]


def logs(  # noqa: PLR0913, PLR0917 (one parameter an option)
    services: Annotated[
        list[str] | None, typer.Argument(help="Of these only; all without.", autocompletion=_completed)
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what is added, until Ctrl-C.")] = False,
    since: Annotated[str, typer.Option(help="From then on: 30s, 10m, 2h, 1d, or a time.")] = "",
    level: Annotated[Level, typer.Option(help="This bad at least.")] = Level.DEBUG,
    lines: Annotated[int, typer.Option("--lines", "-n", help="The last so many; all with --since.", min=0)] = 200,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    data: Data = None,
) -> None:
    """Show what the platform's processes logged, in the order of time. It also works while nothing runs."""
    from datetime import UTC, datetime  # noqa: PLC0415 (start-up time of other commands)

    from penstock.logs.entry import BEGINNING  # noqa: PLC0415 (as above)
    from penstock.logs.reading import added, logs_in, recent  # noqa: PLC0415 (as above)
    from penstock.logs.since import moment  # noqa: PLC0415 (as above)
    from penstock.platform.folder import DataFolder  # noqa: PLC0415 (as above)

    try:
        earliest = moment(since, datetime.now(UTC)) if since else BEGINNING
    except ValueError as error:
        raise typer.BadParameter(f"{error}.", param_hint="--since") from error
    tails = logs_in(DataFolder.at(data).logs, services or ())

    def wanted(found: "Iterator[Entry]") -> "Iterator[Entry]":
        return (entry for entry in found if entry.at >= earliest and entry.is_at_least(level.value))

    for entry in deque(wanted(recent(tails)), maxlen=None if since else lines):
        _print(entry, as_json=as_json)
    if follow:
        for entry in wanted(added(tails)):
            _print(entry, as_json=as_json)


def _print(entry: "Entry", *, as_json: bool) -> None:
    import json  # noqa: PLC0415 (as above)

    line: Any = json.dumps(entry.as_data(), ensure_ascii=False) if as_json else f"{entry.service:<9} | {entry.line}"
    print(line, flush=True)
