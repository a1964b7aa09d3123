"""What a task remembers from run to run: a small object under a key."""

from collections.abc import Mapping
from typing import Any

import msgspec

from penstock_worker.domain.errors import StateInvalid

MAX_STATE = 16 * 1024  # bytes as JSON


def changed(before: Mapping[str, Any], wanted: Mapping[str, Any], added: Mapping[str, float | int]) -> dict[str, Any]:
    """The object after a change: fields set, numbers added. Raises StateInvalid."""
    after = {**before, **wanted}
    for name, amount in added.items():
        known = after.get(name) or 0
        if isinstance(known, bool) or not isinstance(known, int | float):
            raise StateInvalid(f"`{name}` is {known!r}, to which nothing can be added")
        after[name] = known + amount
    if len(msgspec.json.encode(after)) > MAX_STATE:
        raise StateInvalid("what is remembered under one key may take 16 KiB at most")
    return after
