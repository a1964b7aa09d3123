"""`penstock down`."""

import typer

from penstock.commands.options import Data


def down(data: Data = None) -> None:
    """Stop the platform and wait until all its processes have ended."""
    from penstock.platform.down import stop_platform  # noqa: PLC0415 (start-up time of other commands)
    from penstock.platform.folder import DataFolder  # noqa: PLC0415 (as above)

    folder = DataFolder.at(data)
    stopped = stop_platform(folder)
    typer.echo(f"stopped: {', '.join(stopped)}" if stopped else f"nothing runs on {folder.root}")
