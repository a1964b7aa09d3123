"""Histories as a platform without faults would leave them, to be spoiled by tests."""

import zlib
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from tests.chaos.checker import Counted, Violation, check_all, check_story
from tests.chaos.history import Booked, Ending, Entry, Habit, Heard, Plan, Row, Story
from tests.chaos.script import CALL_NAME, Order, Piece, expected_of, pieces_of

REQUEST = "01a1feda-30c8-7e11-9063-b1a378da6929"
ORDER = Order(key="7-1", words=12, choices=2, calls_tool=True)


@dataclass(frozen=True)
class History:
    """One request: what its client heard, what was booked, what the engine counted."""

    story: Story
    booked: Booked
    counted: Counted

    def kinds(self) -> set[str]:
        """The kinds of violations that the checker finds."""
        return {violation.kind for violation in self.violations()}

    def violations(self) -> list[Violation]:
        """All that the checker finds."""
        outcome, violations = check_story(self.story)
        books, counts = {REQUEST: self.booked}, {self.story.plan.order.key: self.counted}
        return violations + check_all([outcome], books, counts)

    def telling(self, heard: list[Heard], ending: Ending | None = None) -> "History":
        """The same request with other words."""
        told = msgspec.structs.replace(self.story, heard=heard, ending=ending or self.story.ending)
        return replace(self, story=told)

    def booking(self, **changes: Any) -> "History":
        """The same request with other numbers in its row and in its one charge."""
        row, (charge, *_) = self.booked.row, self.booked.entries
        assert row
        ours = {name: value for name, value in changes.items() if name in Entry.__struct_fields__}
        recorded = msgspec.structs.replace(row, **changes)
        return replace(self, booked=Booked(recorded, [msgspec.structs.replace(charge, **ours)]))


def a_history(attempt: int = 1, order: Order = ORDER) -> History:
    """An answer that arrived whole, was charged once, and was counted."""
    tokens = expected_of(order).tokens
    booked = Booked(
        Row(attempt, "succeeded", "measured", 12, tokens), [Entry("customer", attempt, "succeeded", 12, tokens)]
    )
    return History(a_story(attempt, order), booked, Counted([tokens], tokens))


def a_story(attempt: int, order: Order) -> Story:
    """What the client of such an answer hears."""
    plan = Plan(order=order, model="m", habit=Habit.STAYS, named=False, turn=1, pause=1.0)
    heard = Telling(attempt, order).events()
    return Story(plan=plan, request_id=REQUEST, heard=heard, ending=Ending.DONE)


class Telling:
    """Makes the events of an answer, each with the position after it."""

    def __init__(self, attempt: int, order: Order) -> None:
        self.attempt, self.order = attempt, order
        self._held: dict[str, str] = {}
        """Text by the place that a position names."""
        self._roles: list[str] = []
        self._ends = 0
        self._heard: list[Heard] = []

    def events(self) -> list[Heard]:
        """All of them."""
        for piece in pieces_of(self.order):
            self._piece(piece)
        expected = expected_of(self.order)
        for choice, reason in expected.finish.items():
            self._end(chunk(choice, {}, reason))
        self._end({"choices": [], "usage": {"prompt_tokens": 12, "completion_tokens": expected.tokens}})
        self._end("[DONE]")
        return self._heard

    def _piece(self, piece: Piece) -> None:
        if str(piece.choice) not in self._roles:
            self._roles.append(str(piece.choice))
            self._say(chunk(piece.choice, {"role": "assistant", "content": ""}))
        place = f"{piece.choice}{'t0' if piece.channel == 'tool' else 'c'}"
        if piece.channel == "content":
            self._held[place] = self._held.get(place, "") + piece.text
            self._say(chunk(piece.choice, {"content": piece.text}))
            return
        if place not in self._held:
            self._held[place] = ""
            called = {"index": 0, "id": f"call_{self.order.key}", "function": {"name": CALL_NAME, "arguments": ""}}
            self._say(chunk(piece.choice, {"tool_calls": [called]}))
        self._held[place] += piece.text
        self._say(chunk(piece.choice, {"tool_calls": [{"index": 0, "function": {"arguments": piece.text}}]}))

    def _say(self, data: dict[str, Any] | str) -> None:
        texts = [f"{place}={len(held)}.{zlib.crc32(held.encode()):x}" for place, held in self._held.items()]
        silent = [role for role in self._roles if not any(place.startswith(role) for place in self._held)]
        entries = ",".join([*silent, *texts])
        end = f"!{self._ends}" if self._ends else ""
        text = data if isinstance(data, str) else msgspec.json.encode(data).decode()
        self._heard.append(Heard(float(len(self._heard)), f"{self.attempt}:{entries}{end}", text))

    def _end(self, data: dict[str, Any] | str) -> None:
        self._ends += 1
        self._say(data)


def chunk(choice: int, delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    """A `chat.completion.chunk`, as far as the checker looks at it."""
    return {"choices": [{"index": choice, "delta": delta, "finish_reason": finish}]}
