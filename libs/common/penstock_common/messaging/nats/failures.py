"""nats-py's many errors as one."""

import contextlib
from collections.abc import Iterator

from nats.errors import Error

from penstock_common.errors import BusUnavailable


@contextlib.contextmanager
def unavailable() -> Iterator[None]:
    """Raise BusUnavailable for whatever keeps the server from answering."""
    try:
        yield
    except (Error, OSError, TimeoutError) as error:
        raise BusUnavailable(f"NATS: {error or type(error).__name__}") from error
