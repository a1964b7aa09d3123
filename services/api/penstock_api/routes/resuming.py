"""A stream that is taken up again, on whichever process its client comes to."""

from dataclasses import dataclass

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from penstock_api import metrics
from penstock_api.domain.openai_format import EventWriter, Identity
from penstock_api.ports.generations import Generation, Generations, Known
from penstock_api.routes.answering import answered
from penstock_api.routes.chat import Writer, stream
from penstock_api.routes.native_events import NativeWriter
from penstock_api.routes.reply import CLIENT_LEFT, Reply
from penstock_common.errors import PenstockError

OUTCOMES = {200: "completed", 204: "nothing_new", CLIENT_LEFT: "left"}


class ResumedReply(Reply):
    """Counts what becomes of resumed streams, apart from the requests themselves."""

    has_failed = False

    async def fail(self, error: BaseException) -> None:
        """Tell of a failure: by status where nothing was sent yet, else by an event without an end mark."""
        self.has_failed = True
        await super().fail(error)

    def count(self, status: int) -> None:
        """Count the response."""
        outcome = "failed" if self.has_failed else OUTCOMES.get(status, "failed")
        metrics.RESUMED.labels(outcome).inc()


@dataclass(frozen=True, slots=True)
class Resumed:
    """A stream that goes on."""

    generations: Generations
    known: Known
    generation: Generation
    native: bool
    slow_seconds: float

    @property
    def writer(self) -> Writer:
        """What the client is sent."""
        chunks = EventWriter(identity_of(self.known), self.known.about.includes_usage)
        return NativeWriter(chunks, self.known) if self.native else chunks

    async def relay(self, reply: Reply) -> None:
        """Answer the client. Raises ClientLeft and whatever ended the generation."""
        writer, answer = self.writer, self.generation.answer
        try:
            await stream(reply, self.generation, writer)
        except PenstockError:
            ended = answer.end
            if isinstance(writer, NativeWriter) and ended is not None and reply.is_streaming:
                await reply.stream(writer.ended(answer, ended))
            raise


class ResumedStream(Response):
    """The response that relays it."""

    def __init__(self, resumed: Resumed) -> None:
        super().__init__()
        self.resumed = resumed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the client until the end, or until it leaves."""
        resumed = self.resumed
        reply = ResumedReply(scope, receive, resumed.slow_seconds)
        reply.model = resumed.known.about.model
        reply.answers(resumed.known.request_id, repeated=False)
        await answered(reply, resumed.generations, resumed.generation, resumed.relay(reply))


def identity_of(known: Known) -> Identity:
    """What every object of the answer says of itself, as it did when the request was accepted."""
    about = known.about
    return Identity(f"chatcmpl-{known.request_id}", int(about.accepted_at.timestamp()), about.asked or about.model)
