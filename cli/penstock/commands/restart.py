"""`penstock restart`."""

from typing import Annotated

import typer

from penstock.commands.options import Data
from penstock.commands.run import Service


def restart(
    services: Annotated[list[Service] | None, typer.Argument(help="Of these only; all without.")] = None,
    data: Data = None,
) -> None:
    """Exchange the services' processes one by one, without a failed request, with the code as it is on disk now.

    The servers, the supervisor and its options stay as they are; for these stop the platform and start it again.
    """
    import asyncio  # noqa: PLC0415 (start-up time of other commands)

    from penstock.platform.control import RESTART, ordered  # noqa: PLC0415 (as above)
    from penstock.platform.errors import PlatformError  # noqa: PLC0415 (as above)
    from penstock.platform.folder import DataFolder  # noqa: PLC0415 (as above)
    from penstock.platform.state import running  # noqa: PLC0415 (as above)

    state = running(DataFolder.at(data))
    if not state.control:
        raise PlatformError("This platform is supervised elsewhere; restart its services there, one after the other.")

    async def watch() -> None:
        async for said in ordered(state.control, RESTART, [service.value for service in services or ()]):
            typer.echo(said)

    asyncio.run(watch())
