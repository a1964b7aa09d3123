"""Messages that are said again by an operator's act: how they are marked, and what they must not do twice."""

from collections.abc import Sequence
from dataclasses import replace

from penstock_common.messaging.addressing import again
from penstock_common.messaging.envelope import ALLOW, CONTEXT, EFFECTS, REPLAY
from penstock_common.messaging.ports import Incoming, Outgoing


def marked(message: Outgoing, act_id: str, *, effects: bool = False) -> Outgoing:
    """The same message, marked as replayed by an act; `effects` lets it reach outside of the platform again."""
    headers = {name: value for name, value in message.headers.items() if name != EFFECTS}
    return replace(again(message, act_id), headers={**headers, REPLAY: act_id, **({EFFECTS: ALLOW} if effects else {})})


def effects_allowed() -> bool:
    """Whether the running handler may have effects outside of the platform: calls, posts and mails to others."""
    return CONTEXT.get().effects_allowed


def apart(messages: Sequence[Incoming]) -> Sequence[Sequence[Incoming]]:
    """Those that are marked alike together: what is handled at once has one context."""
    groups: dict[tuple[str | None, str | None], list[Incoming]] = {}
    for message in messages:
        groups.setdefault((message.headers.get(REPLAY), message.headers.get(EFFECTS)), []).append(message)
    return tuple(groups.values())
