"""What a stream tells beside the chunks where `?native=1` asks for it: the request's state, its attempts, its end."""

from dataclasses import dataclass, field

import msgspec

from penstock_api.domain.answer import Answer
from penstock_api.domain.openai_format import EventWriter
from penstock_api.ports.generations import QUEUED, RUNNING, Known
from penstock_api.routes.inference_shapes import view_of
from penstock_common.contracts.stream import Ended


@dataclass(slots=True)
class NativeWriter:
    """Renders an answer as `EventWriter` does, with events of its own kinds between the chunks."""

    chunks: EventWriter
    known: Known
    """The request as it was when the client came."""
    _is_state_due: bool = field(init=False, default=True)
    _is_queued: bool = field(init=False)
    _attempt: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self._is_queued = self.known.state.outcome == QUEUED

    def has_news(self, answer: Answer) -> bool:
        """Whether `render` gives something; of a request that has ended, only with its answer."""
        if self.known.has_ended and not answer.is_over:
            return False
        return self._is_state_due or self._has_begun(answer) or self._is_taken_over(answer) or answer.has_news

    def render(self, answer: Answer) -> bytes:
        """The events of what happened and arrived, and was not rendered yet; empty where there is none."""
        events = b""
        if self._is_state_due:
            self._is_state_due, self._attempt = False, answer.after.attempt
            events += event("state", answer, view_of(self.known).model_dump_json().encode())
        if self._has_begun(answer):
            self._is_queued = False
            events += event("state", answer, b'{"state":"%b","attempts":%d}' % (RUNNING.encode(), answer.attempt))
        if self._is_taken_over(answer):
            events += event("attempt", answer, b'{"attempt":%d,"restarts":false}' % answer.attempt)
        self._attempt = answer.attempt
        return events + self.chunks.render(answer)

    def told_all(self, answer: Answer) -> bool:
        """Whether the client has every event of an answer that is over."""
        return self.chunks.told_all(answer)

    def end(self, answer: Answer, ended: Ended) -> bytes:
        """The events of the end that the client lacks."""
        return self.ended(answer, ended) + self.chunks.end(answer, ended)

    def ended(self, answer: Answer, ended: Ended) -> bytes:
        """The event that tells how the request ended."""
        failure = ended.failure
        told = {
            "state": ended.outcome,
            "attempt": ended.attempt,
            "tokens": msgspec.structs.asdict(ended.tokens),
            "error": {"code": failure.code, "message": failure.message} if failure else None,
        }
        return event("end", answer, msgspec.json.encode(told))

    def _has_begun(self, answer: Answer) -> bool:
        return self._is_queued and answer.attempt > answer.after.attempt

    def _is_taken_over(self, answer: Answer) -> bool:
        return 0 < self._attempt < answer.attempt


def event(kind: str, answer: Answer, data: bytes) -> bytes:
    """A server-sent event; its id says what of the answer the client has."""
    return b"event: %b\nid: %b\ndata: %b\n\n" % (kind.encode(), answer.position(), data)
