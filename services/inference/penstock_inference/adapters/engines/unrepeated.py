"""The rest of an answer, from engines of which some repeat its beginning in front of it."""

import msgspec

from penstock_inference.domain.continuing import without_repeat
from penstock_inference.ports import EngineEvent, TextDelta


class Unrepeated:
    """Leaves out the beginning that an engine was given, where it comes back as its first text."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix

    def of(self, events: list[EngineEvent]) -> list[EngineEvent]:
        """The events of one read."""
        if not self._prefix:
            return events
        for at, event in enumerate(events):
            if isinstance(event, TextDelta) and event.channel == "content":
                text, self._prefix = without_repeat(self._prefix, event.text), ""
                rest: list[EngineEvent] = [msgspec.structs.replace(event, text=text)] if text else []
                return [*events[:at], *rest, *events[at + 1 :]]
        return events
