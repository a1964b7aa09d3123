"""What must hold for everything beside chats, once everything is well again. Pure."""

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import timedelta

from tests.chaos.checker import Violation
from tests.chaos.errand_reading import Answers, Ends
from tests.chaos.errands import EVERY, Accepted
from tests.chaos.receiver import Receiver
from tests.chaos.script import Order, expected_of

ENDS = ("succeeded", "partial", "cancelled", "expired", "failed", "lost")
OPEN = ("queued", "running", "parsing", "embedding")


def check_errands(accepted: Accepted, heard: Receiver, ends: Ends, answers: Answers) -> list[Violation]:
    """What was accepted, held against what became of it."""
    booked = (_submissions(accepted, heard, ends), _runs(accepted, heard, ends), _ticks(accepted, heard, ends))
    return [*itertools.chain(*booked), *_documents(accepted, ends), *_said(accepted, answers)]


def is_under_way(accepted: Accepted, heard: Receiver, ends: Ends) -> bool:
    """Whether there is anything to wait for."""
    ticked = [run for _, _, run in ends.ticks]
    return (
        any(ends.runs.get(run, ("", "", ""))[0] not in ENDS for run in (*accepted.runs, *ticked))
        or any(ends.documents.get(id_, ("queued", ""))[0] in OPEN for id_ in accepted.documents)
        or any(not heard.told[id_] for id_ in accepted.submissions)
    )


def _submissions(accepted: Accepted, heard: Receiver, ends: Ends) -> Iterator[Violation]:
    """Each ends well, once, is charged once, and its URL hears of it under one id."""
    for id_ in accepted.submissions:
        state, code = ends.states.get(id_, ("missing", ""))
        if state != "succeeded":
            yield Violation("never_ended" if state in ("missing", "running") else "failed", id_, f"{state} {code}")
        elif (charges := ends.charges.get(id_, 0)) != 1:
            yield Violation("charged_twice" if charges else "not_charged", id_, f"{charges} charges")
        if heard.states[id_] != {state}:
            told = f"told {heard.told[id_]} times {heard.states[id_]}, it is {state}"
            yield Violation("webhook", id_, told)
    for id_ in heard.told.keys() - accepted.submissions.keys():
        if id_ not in ends.states:
            yield Violation("webhook", id_, "told of a request that nobody knows")


def _runs(accepted: Accepted, heard: Receiver, ends: Ends) -> Iterator[Violation]:
    """Each ends well and once, and its tool acts once."""
    for id_ in accepted.runs:
        yield from _run(heard, ends, id_)


def _run(heard: Receiver, ends: Ends, id_: str) -> Iterator[Violation]:
    state, code, _ = ends.runs.get(id_, ("missing", "", ""))
    if state != "succeeded":
        yield Violation("failed" if state in ENDS else "never_ended", id_, f"the run is {state} {code}")
    elif (times := ends.finishes.get(id_, 0)) != 1:
        yield Violation("ends", id_, f"the run ended {times} times")
    elif (acts := len(heard.acts[id_])) != 1:
        yield Violation("tool_twice", id_, f"its tool was called under {acts} keys")


def _ticks(accepted: Accepted, heard: Receiver, ends: Ends) -> Iterator[Violation]:
    """No moment is left out, and each is one run."""
    for schedule in accepted.schedules:
        ticks = [(due, run) for whose, due, run in ends.ticks if whose == schedule]
        for (before, _), (due, run) in itertools.pairwise(ticks):
            if due - before != timedelta(seconds=EVERY):
                yield Violation("tick_missed", run, f"nothing between {before} and {due}")
        for _, run in ticks:
            yield from _run(heard, ends, run)
        if extra := {run for run, (_, _, source) in ends.runs.items() if source == schedule} - {
            run for _, run in ticks
        }:
            yield Violation("tick_twice", schedule, f"runs without a tick: {sorted(extra)}")
        if not ticks:
            yield Violation("tick_missed", schedule, "it never ticked")


def _documents(accepted: Accepted, ends: Ends) -> Iterator[Violation]:
    for id_ in accepted.documents:
        state, code = ends.documents.get(id_, ("missing", ""))
        if state != "indexed":
            yield Violation("failed" if state == "failed" else "never_ended", id_, f"the document is {state} {code}")


def _said(accepted: Accepted, answers: Answers) -> Iterator[Violation]:
    for id_, order in accepted.submissions.items():
        if answers.texts[id_] != text_of(order):
            yield Violation("text_differs", id_, f"said {answers.texts[id_][:200]!r}")
    yield from check_places(answers.places)
    for id_, found in answers.found.items():
        if found != [id_]:
            yield Violation("not_found", id_, f"a search for its word finds {found}")


def check_places(places: Sequence[int]) -> Iterator[Violation]:
    """Each run counted once: no two of them are the same one of their task."""
    for place, times in Counter(places).items():
        if times > 1:
            yield Violation("counted_twice", "", f"{times} runs were run number {place} of their task")


def text_of(order: Order) -> str:
    """The answer of its first choice."""
    return expected_of(order).texts[0, "content"]
