"""What the audit log keeps of a word: bounded, and free of what a database can't hold."""

from collections.abc import Mapping
from itertools import islice

import msgspec

from penstock_api.domain.plain import plain
from penstock_common.contracts.operating import OperatorActed

ACT_LENGTH = 64  # characters, as all lengths here
ACTOR_LENGTH = 256
MOST_DETAILS = 32
NAME_LENGTH = 64
DETAIL_LENGTH = 1024


def bounded(event: OperatorActed) -> OperatorActed:
    """The same, cut to what an entry may hold: whoever may publish may write much."""
    return msgspec.structs.replace(
        event,
        act=plain(event.act, ACT_LENGTH),
        actor=plain(event.actor, ACTOR_LENGTH),
        details=bounded_details(event.details),
    )


def bounded_details(details: Mapping[str, str]) -> dict[str, str]:
    """The first details, each cut."""
    kept = islice(details.items(), MOST_DETAILS)
    return {plain(name, NAME_LENGTH): plain(value, DETAIL_LENGTH) for name, value in kept}
