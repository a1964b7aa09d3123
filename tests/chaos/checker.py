"""The history checker: what must hold for each request, whatever was killed meanwhile. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any, NamedTuple

import msgspec

from tests.chaos.history import Booked, Books, Ending, Habit, Story
from tests.chaos.reading import Read, read_events
from tests.chaos.script import Expected, expected_of

CANCELLED = "cancelled"
UNREACHABLE = "unreachable"
REFUSALS = frozenset(
    {
        UNREACHABLE,
        "api.starting",
        "api.stopping",
        "common.bus_unavailable",
        "common.database_unavailable",
        "inference.records_unavailable",
    }
)
"""What a request may be refused with while a server or a process is away."""


class Violation(NamedTuple):
    """A promise that was broken."""

    kind: str
    request_id: str
    detail: str


@dataclass(slots=True)
class Outcome:
    """What is kept of a story once it was checked: enough to hold against the books."""

    request_id: str
    key: str
    ending: Ending
    habit: Habit
    named: bool
    attempt: int = 0
    """The last one that the client heard; 0 where it can't tell."""
    whole: bool = False
    """Whether the client has the complete answer."""
    delivered: int = 0
    """Characters that it has."""
    usage: dict[str, Any] = field(default_factory=dict)
    """As it was told."""
    error: str = ""
    """The code of the failure that it was told."""
    began: float = 0.0
    ended: float = 0.0
    resumed: int = 0
    silence: float = 0.0


def check_story(story: Story) -> tuple[Outcome, list[Violation]]:
    """What one client heard, held against what the engine says."""
    expected = expected_of(story.plan.order)
    read = read_events(story.heard) if story.plan.streamed else read_body(story)
    outcome = _outcome(story, read)
    wrong = [(kind, detail) for kind, detail in _told(story, read, expected)]
    outcome.whole = story.ending is Ending.DONE and not _cancelled(read) and not wrong
    return outcome, [Violation(kind, story.request_id, detail) for kind, detail in wrong]


def _outcome(story: Story, read: Read) -> Outcome:
    return Outcome(
        story.request_id,
        story.plan.order.key,
        story.ending,
        story.plan.habit,
        story.plan.named,
        attempt=read.attempt,
        delivered=sum(map(len, read.texts.values())),
        usage=read.usage[-1] if read.usage else {},
        error=str(read.failures[-1].get("code")) if read.failures else refusal_of(story),
        began=story.began,
        ended=story.ended,
        resumed=story.resumed,
        silence=story.silence,
    )


def refusal_of(story: Story) -> str:
    """The code of a refusal; `unreachable` where there was nobody to refuse. Empty where it was none."""
    if story.ending is not Ending.REFUSED:
        return ""
    if not story.body:
        return UNREACHABLE
    try:
        said = msgspec.json.decode(story.body)
        return str(said["error"]["code"])
    except (msgspec.DecodeError, KeyError, TypeError):
        return story.body[:80]


def _told(story: Story, read: Read, expected: Expected) -> Iterator[tuple[str, str]]:
    """What is wrong with what a client heard, each with its kind."""
    if story.ending is Ending.UNKNOWN:
        return
    if story.ending is Ending.REFUSED:
        if refusal_of(story) not in REFUSALS:
            yield "refusal", f"{story.connections[-3:]}: {story.body[:300]}"
        return
    if story.clean_cuts and story.plan.habit is not Habit.SLOW:
        yield "silent_cut", f"{story.clean_cuts} streams ended without an end: {story.connections[-6:]}"
    if story.ending in (Ending.CUT, Ending.HANGING):
        yield "lost", f"{story.ending}: {story.connections[-6:]}, {sum(map(len, read.texts.values()))} characters came"
    yield from (("malformed", detail) for detail in read.wrong[:5])
    yield from _texts(read, expected)
    if story.ending is Ending.FAILED:
        yield from _failed(story, read)
    if story.ending is Ending.DONE:
        yield from _ended(story, read, expected)


def _texts(read: Read, expected: Expected) -> Iterator[tuple[str, str]]:
    """Whatever came is the beginning of what the engine says, character by character."""
    for place, text in read.texts.items():
        if not expected.texts.get(place, "").startswith(text):
            yield "text_differs", f"{place}: {difference(text, expected.texts.get(place, ''))}"
    if len(read.call_ids) > 1 or not set(read.call_ids) <= {expected.call_id}:
        yield "call_differs", f"tool calls {read.call_ids}, said was {expected.call_id!r}"
    yield from (("role_twice", f"choice {c}: {n} times") for c, n in read.greeted.items() if n > 1)


def _failed(story: Story, read: Read) -> Iterator[tuple[str, str]]:
    if read.done:
        yield "done_on_truncated", "an error and [DONE]"
    if story.plan.streamed and story.heard and not read.failures:
        yield "dishonest_error", "it ended without saying why"


def _ended(story: Story, read: Read, expected: Expected) -> Iterator[tuple[str, str]]:
    """A stream with `[DONE]` is complete, unless it was stopped and says so."""
    if read.done != 1:
        yield "ends", f"{read.done} ends, expected 1"
    if _cancelled(read):
        if not story.stopped:
            yield "done_on_truncated", "it says cancelled, and nobody stopped it"
        return
    finish = {choice: [reason] for choice, reason in expected.finish.items()}
    if read.finish != finish:
        yield "finish_differs", f"{read.finish}, said was {finish}"
    for place, text in expected.texts.items():
        if read.texts.get(place, "") != text:
            yield "done_on_truncated", f"{place}: {difference(read.texts.get(place, ''), text)}"
    if expected.call_id and not read.call_ids:
        yield "done_on_truncated", "the tool call is missing"
    if len(read.usage) != 1:
        yield "usage", f"told {len(read.usage)} times, expected once"


def _cancelled(read: Read) -> bool:
    return any(CANCELLED in reasons for reasons in read.finish.values())


def read_body(story: Story) -> Read:
    """What a client has after an answer that was not streamed."""
    read = Read()
    try:
        body = msgspec.json.decode(story.body or "{}")
    except msgspec.DecodeError:
        read.wrong.append(f"unreadable: {story.body[:80]}")
        return read
    if story.ending is Ending.FAILED:
        read.failures = [body.get("error") or body]
    if story.ending is not Ending.DONE:
        return read
    read.done, read.usage = 1, [body.get("usage") or {}]
    for choice in body.get("choices", ()):
        index, message = choice["index"], choice["message"]
        read.greeted[index], read.finish[index] = 1, [choice["finish_reason"]]
        read.texts[index, "content"] = message["content"]
        for call in message.get("tool_calls") or ():
            read.call_ids.append(call["id"])
            read.texts[index, "tool"] = call["function"]["arguments"]
    return read


def difference(found: str, wanted: str) -> str:
    """Where two texts part, for people."""
    at = next((n for n, (a, b) in enumerate(zip_longest(found, wanted)) if a != b), len(wanted))
    return (
        f"{len(found)} of {len(wanted)} characters; at {at} {found[at : at + 30]!r}, said was {wanted[at : at + 30]!r}"
    )


class Counted(NamedTuple):
    """What the engine counted for one order: the tokens of each call that it finished, and the most of any call."""

    complete: Sequence[int]
    most: int


def check_books(outcome: Outcome, booked: Booked, counted: Counted) -> list[Violation]:
    """What the books say of one request, held against what its client heard and what the engine counted."""
    if outcome.ending is Ending.REFUSED:
        return []
    return [Violation(kind, outcome.request_id, detail) for kind, detail in _booked(outcome, booked, counted)]


def _booked(outcome: Outcome, booked: Booked, counted: Counted) -> Iterator[tuple[str, str]]:
    row, charged = booked.row, booked.charged
    if row is None or row.outcome == "running":
        yield "never_ended", f"{outcome.ending} for its client; the row is {row}"
        return
    if len(charged) != 1:
        yield ("charged_twice" if charged else "not_charged"), f"{len(charged)} charges: {charged}"
        return
    (charge,) = charged
    if (charge.attempt, charge.completion) != (row.attempt, row.completion):
        yield "charge_differs", f"charged {charge}, recorded {row}"
    if outcome.ending is Ending.FAILED and outcome.delivered == 0 and charge.completion:
        yield "charged_for_nothing", f"{outcome.error}: {charge}"
    if outcome.whole:
        yield from _whole(outcome, booked, counted)


def _whole(outcome: Outcome, booked: Booked, counted: Counted) -> Iterator[tuple[str, str]]:
    """Who has the whole answer pays for what the engine counted, in the attempt that was seen."""
    row, (charge,) = booked.row, booked.charged
    assert row
    if row.outcome != "succeeded":
        yield "outcome_differs", f"the client has the whole answer; recorded is {row}"
    if row.measure == "measured" and charge.completion not in counted.complete:
        yield "charge_differs", f"charged {charge.completion} tokens; the engine finished calls of {counted.complete}"
    if outcome.usage and outcome.usage.get("completion_tokens") != charge.completion:
        yield "usage_differs", f"told {outcome.usage}, charged {charge}"
    if outcome.attempt and outcome.attempt != charge.attempt:
        yield "attempt_differs", f"the client saw the end of attempt {outcome.attempt}; charged is {charge.attempt}"


def charged_though_refused(outcomes: Sequence[Outcome], books: Books) -> int:
    """Requests whose publish the bus took without saying so in time: they ran until they were stopped, for nobody."""
    refused = (books.get(o.request_id) for o in outcomes if o.ending is Ending.REFUSED)
    return sum(any(entry.completion for entry in booked.charged) for booked in refused if booked)


def check_all(outcomes: Sequence[Outcome], books: Books, counts: dict[str, Counted]) -> list[Violation]:
    """Every request that was accepted, held against the books."""
    nothing = Counted((), 0)
    return [
        violation
        for outcome in outcomes
        if outcome.request_id
        for violation in check_books(outcome, books.get(outcome.request_id, Booked()), counts.get(outcome.key, nothing))
    ]
