"""Tables that lose nothing: long cells are folded, and a file or a pipe has room for them."""

import sys

from rich.console import Console
from rich.table import Table

PIPE_WIDTH = 200  # characters


def console() -> Console:
    """Standard output."""
    return Console(width=None if sys.stdout.isatty() else PIPE_WIDTH)


def table(*columns: str, title: str | None = None, footer: bool = False) -> Table:
    """An empty table."""
    made = Table(title=title, title_justify="left", show_footer=footer)
    for column in columns:
        made.add_column(column, overflow="fold")
    return made
