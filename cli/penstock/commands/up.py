"""`penstock up`."""

from typing import Annotated

import typer

from penstock.commands.options import Data, Json


def collector(url: str | None) -> str | None:
    """The base URL of a collector. Raises BadParameter."""
    if url is None or url.startswith(("http://", "https://")):
        return url
    raise typer.BadParameter("a collector is named by its HTTP address, as in http://127.0.0.1:4318")


def reachable(allowed: list[str] | None) -> list[str]:
    """Hosts and networks that tools and webhooks may call. Raises BadParameter."""
    if not allowed:
        return []
    from penstock_common.guarded_http import Policy  # noqa: PLC0415 (start-up time of other commands)

    try:
        Policy.of(allowed)
    except ValueError as error:
        raise typer.BadParameter(f"{error}.") from error
    return allowed


def storage(url: str) -> str:
    """The address of an object storage. Raises BadParameter."""
    from penstock_common.objects_url import ObjectsUrlInvalid, objects_at  # noqa: PLC0415 (as above)

    try:
        if url:
            objects_at(url)
    except ObjectsUrlInvalid as error:
        raise typer.BadParameter(error.message) from error
    return url


def up(  # noqa: PLR0913, PLR0917 (one parameter an option)
    as_json: Json = False,
    data: Data = None,
    port: Annotated[int | None, typer.Option(help="Port of the API; 8080 or the next free one.")] = None,
    discover: Annotated[bool, typer.Option(help="Look for engines, in the environment and on this machine.")] = True,
    bus: Annotated[str | None, typer.Option(help="Use this bus: nats://… or amqp://…")] = None,
    database: Annotated[str | None, typer.Option(help="Use this database: postgresql://…")] = None,
    processes: Annotated[
        str, typer.Option(help="Processes of a service beyond one: api=2,inference=2", envvar="PENSTOCK_PROCESSES")
    ] = "",
    otlp: Annotated[
        str | None, typer.Option(help="Send traces to this collector: http://127.0.0.1:4318", callback=collector)
    ] = None,
    archive: Annotated[
        str,
        typer.Option(
            help="Archive events there: s3://bucket/folder, or a folder; <data>/archive without.",
            envvar="PENSTOCK_ARCHIVE",
            callback=storage,
        ),
    ] = "",
    allow_tool: Annotated[
        list[str] | None,
        typer.Option(
            help="A host or network inside that tasks and webhooks may call, such as 127.0.0.0/8; repeatable.",
            callback=reachable,
        ),
    ] = None,
) -> None:
    """Start the whole platform and keep it running until Ctrl-C.

    Everything it keeps lies in one folder: --data, else PENSTOCK_DATA, else /var/lib/penstock for root and
    ~/.local/share/penstock for others.
    """
    from penstock.platform.supervisor import Options  # noqa: PLC0415 (start-up time of other commands)
    from penstock.platform.up import run_platform  # noqa: PLC0415 (as above)

    options = Options(
        data=data,
        port=port,
        discover=discover,
        bus=bus,
        database=database,
        processes=processes,
        otlp=otlp,
        archive=archive,
        tools=allow_tool or (),
    )
    run_platform(options, as_json=as_json)
