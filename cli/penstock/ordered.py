"""Waits until a schedule is as it was ordered to be."""

import time
from collections.abc import Callable
from typing import Any

from penstock.client import ApiRefused, Client

PATIENCE = 10.0  # seconds
POLL = 0.1  # seconds
MISSING = 404

Schedule = dict[str, Any]


def await_schedule(client: Client, path: str, answer: Schedule | None, holds: Callable[[Schedule | None], bool]) -> Any:
    """The schedule at `path` once it holds, None for one that is gone; or what it was when patience ended."""
    end = time.monotonic() + PATIENCE
    while not holds(answer) and time.monotonic() < end:
        time.sleep(POLL)
        answer = find(client, path)
    return answer


def find(client: Client, path: str) -> Schedule | None:
    """The schedule, or None. Raises ApiUnreachable, ApiRefused for anything else."""
    try:
        found: Schedule = client.get(path)
    except ApiRefused as error:
        if error.status == MISSING:
            return None
        raise
    return found
