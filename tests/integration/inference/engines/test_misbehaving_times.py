"""Engines that take their time: every wait has an end, and the client keeps what was said before it."""

from collections.abc import Callable
from typing import Any

import pytest

from penstock_common.contracts.generation import Outcome
from tests.integration.inference.engines.misbehaving import (
    COUNTS,
    HEL,
    HELLO,
    LO,
    MEASURED,
    ROLE,
    STOP,
    Case,
    Rig,
    failed,
    good,
    partial,
)
from tests.support.engine_fake import DONE, chunk, event, usage_chunk
from tests.support.engine_wire import After, Wire, head, sent, whole

LATE, EXPIRED = "inference.engine_timeout", "inference.deadline_passed"
SOON, LATER = 4.0, 8.0
"""Seconds: for one short patience, and for the two in which an answer or a refusal may be brought to its end."""
SLOW: dict[str, Any] = {"hasty": True, "within": SOON}
NO_TOKEN: dict[str, Any] = SLOW | {"says": "no first token within 1 s"}
SILENT: dict[str, Any] = SLOW | {"says": "nothing for 1 s"}
UNTIL: dict[str, Any] = {"left": 1.5, "within": SOON, "says": "deadline passed"}
BUSY = head("503 Service Unavailable", content_type="text/plain", content_length="900")
HALF = Wire((head(content_type="application/json", content_length="99"), b'{"error"'), After.HANG)


def on(*pieces: bytes | float) -> Wire:
    """A stream that begins so, and repeats its last piece after each pause for ever."""
    return sent(*pieces, after=After.REPEAT)


def again(data: bytes, seconds: float = 0.05) -> tuple[bytes, float]:
    """Repeated."""
    return data, seconds


TABLE = (
    failed("no first token", sent(after=After.HANG), LATE, **NO_TOKEN),
    failed("no head", Wire((), After.HANG), LATE, **NO_TOKEN),
    failed("a head that never ends", Wire((b"HTTP/1.1 200 OK\r\n", b"x: y\r\n", 0.05), After.REPEAT), LATE, **NO_TOKEN),
    failed("interim answers for ever", Wire((b"HTTP/1.1 102 Wait\r\n\r\n", 0.05), After.REPEAT), LATE, **NO_TOKEN),
    failed("a role and nothing to say", sent(ROLE, after=After.HANG), LATE, **NO_TOKEN),
    failed("roles for ever", on(ROLE, *again(ROLE)), LATE, **NO_TOKEN),
    failed("counts in place of tokens", on(*again(event(usage_chunk(9, 0)))), LATE, **NO_TOKEN),
    failed("an event that never ends", on(b"data: {", *again(b" ")), LATE, **NO_TOKEN),
    failed("comments in place of tokens", on(*again(b": wait\n\n")), LATE, **NO_TOKEN),
    partial("a stall", sent(ROLE, HEL, after=After.HANG), LATE, **SILENT),
    partial("a stall in an event", sent(HEL, LO[:20], after=After.HANG), LATE, **SILENT),
    partial("comments after a token", on(HEL, *again(b": wait\n\n")), LATE, **SILENT),
    partial("empty deltas after a token", on(HEL, *again(event(chunk(content="")))), LATE, **SILENT),
    partial("one choice stalls", sent(*HELLO, after=After.HANG), LATE, "Hello", asked={"n": 2}, **SILENT),
    failed("past the deadline, unsaid", sent(after=After.HANG), EXPIRED, outcome=Outcome.EXPIRED, **UNTIL),
    failed("past the deadline, no head", Wire((), After.HANG), EXPIRED, outcome=Outcome.EXPIRED, **UNTIL),
    partial("past the deadline, unfinished", sent(HEL, after=After.HANG), EXPIRED, **UNTIL),
    partial(
        "past the deadline, in full flow", on(*again(event(chunk(content="Hel")), 1.0)), EXPIRED, "HelHel", **UNTIL
    ),
    good("slow, but each piece in time", sent(ROLE, 0.3, HEL, 0.3, LO, 0.3, STOP, 0.3, DONE), hasty=True),
    good("no mark of the end", sent(*HELLO, after=After.HANG), within=LATER, clean=False),
    good("no end of the body", sent(*HELLO, DONE, after=After.HANG), within=SOON, clean=False),
    good("comments after the mark", on(*HELLO, DONE, *again(b": wait\n\n")), within=SOON, clean=False),
    good("comments in place of the mark", on(*HELLO, *again(b": wait\n\n")), within=LATER, clean=False),
    good("counts after counts", on(*HELLO, *again(COUNTS)), tokens=MEASURED, within=LATER, clean=False),
    good("counts late", sent(*HELLO, 0.6, COUNTS, DONE), tokens=MEASURED, hasty=True),
    failed("a refusal that is not explained", Wire((BUSY,), After.HANG), "inference.engine_failed", within=LATER),
    failed("a refusal in drops", Wire((BUSY, b"x", 0.05), After.REPEAT), "inference.engine_failed", within=LATER),
    failed("half an error object", HALF, LATE, **NO_TOKEN),
    failed("an error that says how slow it was", whole(b"", "504 Gateway Timeout"), LATE, clean=True),
)


@pytest.mark.parametrize("case", TABLE, ids=lambda case: case.name)
async def test_every_wait_has_an_end(case: Case, rig: Callable[[Case], Rig]) -> None:
    """Bounded in time, called by its name, charged for what was said; the next request is answered."""
    await rig(case).must_be(case)


WHOLE = (
    failed("no head", Wire((), After.HANG), EXPIRED, outcome=Outcome.EXPIRED, **UNTIL),
    failed("half a body", HALF, EXPIRED, outcome=Outcome.EXPIRED, **UNTIL),
    failed("a refusal", Wire((BUSY,), After.HANG), "inference.engine_failed", within=LATER),
)


@pytest.mark.parametrize("case", WHOLE, ids=lambda case: case.name)
async def test_whole_answers_end_in_time_too(case: Case, rig: Callable[[Case], Rig]) -> None:
    """Nobody sees an unstreamed answer grow: it has until the deadline, a refusal two seconds."""
    await rig(case).must_fail_whole(case)
