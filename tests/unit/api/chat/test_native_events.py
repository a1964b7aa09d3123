"""What a native stream tells beside the chunks."""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from openai._streaming import SSEDecoder

from penstock_api.domain.answer import Answer
from penstock_api.domain.openai_format import EventWriter, Identity
from penstock_api.domain.position import Position
from penstock_api.ports.generations import Known
from penstock_api.routes.native_events import NativeWriter
from penstock_common.contracts.generation import About, GenerationState, Outcome, Tokens
from penstock_common.contracts.stream import Beat, Delta, Ended, Failure

NOW = datetime(2030, 1, 1, tzinfo=UTC)
ID = UUID("01936f3e-8f2a-7c31-9d2e-5b8f6a1c0d4e")
ABOUT = About(ID, ID, "sim/fast", "fast", streamed=True, includes_usage=False, accepted_at=NOW, deadline=NOW)
CHUNKS = EventWriter(Identity("chatcmpl-1", 1, "fast"), includes_usage=False)


def writer(state: str) -> NativeWriter:
    return NativeWriter(CHUNKS, Known(ABOUT, GenerationState(request_id=ID, outcome=state)))


def told(written: bytes) -> list[tuple[str, Any]]:
    """The kind and data of each event; a chunk's kind is empty."""
    events = SSEDecoder().iter_bytes(iter([written]))
    return [(e.event or "", json.loads(e.data) if e.data != "[DONE]" else e.data) for e in events]


def test_a_request_that_waits_is_told_of_at_once_and_when_it_begins() -> None:
    """A beat is enough to know that it runs."""
    native, answer = writer("queued"), Answer(streamed=True, restarts=True)
    assert native.has_news(answer)
    ((kind, state),) = told(native.render(answer))
    assert (kind, state["state"], state["asked"], state["attempts"]) == ("state", "queued", "fast", 0)
    assert not native.has_news(answer)
    answer.feed([Beat(1)])
    assert native.has_news(answer)
    assert told(native.render(answer)) == [("state", {"state": "running", "attempts": 1})]
    assert native.render(answer) == b""


def test_a_take_over_is_an_attempt() -> None:
    """Told once, before what the new attempt says; also to whoever comes back after it."""
    native, answer = writer("running"), Answer(streamed=True, restarts=True)
    answer.feed([Delta(1, 0, "content", 0, "ab")])
    native.render(answer)
    answer.feed([Delta(2, 0, "content", 0, "abc")])
    events = told(native.render(answer))
    assert events[0] == ("attempt", {"attempt": 2, "restarts": False})
    assert [chunk["choices"][0]["delta"] for kind, chunk in events if not kind] == [{"content": "c"}]
    back = Answer(streamed=True, after=Position.parse("1:0"), restarts=True)
    back.feed([Delta(2, 0, "content", 0, "abc")])
    assert [kind for kind, _ in told(writer("running").render(back))] == ["state", "attempt", ""]


def test_an_attempt_that_says_something_else_begins_anew() -> None:
    """The event says so, and the text follows from its beginning, its role first."""
    native, answer = writer("running"), Answer(streamed=True, restarts=True)
    answer.feed([Delta(1, 0, "content", 0, "ab")])
    native.render(answer)
    answer.feed([Delta(2, 0, "content", 0, "xy")])
    events = told(native.render(answer))
    assert ("attempt", {"attempt": 2, "restarts": True}) in events
    assert [chunk["choices"][0]["delta"].get("content") for kind, chunk in events if not kind] == ["", "xy"]


def test_the_end_is_told_before_the_mark_of_it() -> None:
    """With its tokens, or what went wrong."""
    native, answer = writer("running"), Answer(streamed=True, restarts=True)
    ended = Ended(1, Outcome.SUCCEEDED, {0: "stop"}, {"0/content": 1}, Tokens(prompt=2, completion=1))
    answer.feed([Delta(1, 0, "content", 0, "a"), ended])
    native.render(answer)
    kind, end = told(native.end(answer, ended))[0]
    assert (kind, end["state"], end["tokens"]["prompt"], end["error"]) == ("end", "succeeded", 2, None)
    failed = Ended(1, Outcome.FAILED, {}, {}, Tokens(), Failure("inference.down", "unavailable", "It is down."))
    ((kind, end),) = told(native.ended(answer, failed))
    assert end["error"] == {"code": "inference.down", "message": "It is down."}


def test_of_an_ended_request_nothing_is_told_before_its_answer_is_here() -> None:
    """So that whoever has all of it hears that there is nothing more."""
    native = writer("succeeded")
    ended = Ended(1, Outcome.SUCCEEDED, {0: "stop"}, {}, Tokens())
    answer = Answer(streamed=True, after=Position(1, (0,), ends=2))
    assert not native.has_news(answer)
    answer.feed([ended])
    assert native.told_all(answer)
