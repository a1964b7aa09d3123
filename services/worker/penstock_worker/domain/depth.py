"""How deep runs may start runs."""

from penstock_worker.domain.errors import TooDeep

MAX_DEPTH = 4


def check_depth(depth: int) -> None:
    """Raises TooDeep. A run that nobody's run started has depth 0."""
    if depth > MAX_DEPTH:
        raise TooDeep
