"""`penstock audit`."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from penstock.commands import audit_log
from penstock.commands.options import Data, Json

if TYPE_CHECKING:
    from pathlib import Path

    from penstock.auditing.report import Report
    from penstock.auditing.run import Audit

app = typer.Typer(help="Whether anything was lost, and what operators did.", no_args_is_help=True)
app.command()(audit_log.log)
UNITS = {"m": "minutes", "h": "hours", "d": "days"}
MOST_DAYS = 400


def since_of(text: str) -> datetime:
    """A moment, or a duration before now: 90m, 24h, 7d, 2026-11-21. Raises BadParameter."""
    now = datetime.now(UTC)
    try:
        if text[-1:] in UNITS and text[:-1].isdecimal():
            moment = now - timedelta(**{UNITS[text[-1]]: int(text[:-1])})
        else:
            moment = datetime.fromisoformat(text)
            moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        raise typer.BadParameter(f"{text[:40]!r} is no time: 90m, 24h, 7d, or a date as in 2026-11-21") from error
    if not now - timedelta(days=MOST_DAYS) <= moment <= now:
        raise typer.BadParameter(f"{text[:40]!r} is not within the last {MOST_DAYS} days")
    return moment


@app.command()
def bus(  # noqa: PLR0913, PLR0917 (one parameter an option)
    as_json: Json = False,
    data: Data = None,
    since: Annotated[
        str, typer.Option(help="Audit the UTC days from this one on: 24h, 7d, or a date as in 2026-11-21.")
    ] = "24h",
    consumer: Annotated[str | None, typer.Option(help="Audit this consumer alone.")] = None,
    settle: Annotated[
        float, typer.Option(min=0, max=3600, help="Seconds to look again at what the bus does not have any more.")
    ] = 45.0,
    watch: Annotated[bool, typer.Option("--watch", help="Stay, and look every minute at what came since.")] = False,
    metrics_port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="With --watch: serve metrics for Prometheus on this port.")
    ] = None,
    metrics_host: Annotated[str, typer.Option(help="The address for that.")] = "127.0.0.1",
    bus: Annotated[str | None, typer.Option(help="Read this bus: nats://… or amqp://…")] = None,
    database: Annotated[
        str | None, typer.Option(help="Read this database, as a role that may read all schemas.")
    ] = None,
) -> None:
    """Compare, for each consumer, what was published with what is done, dead or under way.

    Exit code 0 where it balances, 1 with each message that is missing and how to say it again, 2 where bus or database
    can't be read.
    """
    import asyncio  # noqa: PLC0415 (start-up time of other commands)

    from penstock.auditing.run import Audit, audit, chosen, only, sources_of  # noqa: PLC0415 (as above)

    work = Audit(sources_of(data, bus, database), chosen(consumer))
    if watch:
        _watch(work, data, metrics_host, metrics_port, as_json=as_json)
        return
    if metrics_port is not None:
        raise typer.BadParameter("goes with --watch", param_hint="--metrics-port")
    report = asyncio.run(audit(work, since_of(since).date(), settle))
    _print(only(report, consumer), as_json=as_json)
    raise typer.Exit(0 if report.clean else 1)


def _watch(work: "Audit", data: "Path | None", host: str, port: int | None, *, as_json: bool) -> None:
    import asyncio  # noqa: PLC0415 (as above)

    from prometheus_client import start_http_server  # noqa: PLC0415 (as above)

    from penstock.auditing.metrics import REGISTRY  # noqa: PLC0415 (as above)
    from penstock.auditing.place import Place  # noqa: PLC0415 (as above)
    from penstock.auditing.watch import Watch  # noqa: PLC0415 (as above)
    from penstock.platform.elsewhere import named_addresses  # noqa: PLC0415 (as above)
    from penstock.platform.errors import PlatformError  # noqa: PLC0415 (as above)

    if port is not None:
        try:
            start_http_server(port, host, REGISTRY)
        except OSError as error:
            raise PlatformError(f"Metrics can't be served on {host}:{port}: {error.strerror}.") from error
    place = Place.of(data) if data and named_addresses() else None  # a platform that runs here has a watch of its own
    asyncio.run(Watch(work, place).run(lambda report: _print(report, as_json=as_json, brief=True)))


def _print(report: "Report", *, as_json: bool, brief: bool = False) -> None:
    import json  # noqa: PLC0415 (as above)

    from penstock.auditing.show import show, verdict  # noqa: PLC0415 (as above)

    if as_json:
        print(json.dumps(report.as_json()), flush=True)
    elif brief and report.clean:
        print(f"{report.at:%Y-%m-%dT%H:%M:%SZ} {verdict(report)}", flush=True)
    else:
        show(report)
