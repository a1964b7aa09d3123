"""POST /v1/chat/completions."""

from typing import Protocol

from penstock_api.domain.answer import Answer
from penstock_api.domain.chat_request import Form, chat_form
from penstock_api.domain.openai_format import EventWriter, Identity, completion
from penstock_api.ports.generations import Generation
from penstock_api.routes.answering import AnsweringRoute, Checked, ended
from penstock_api.routes.reply import Reply
from penstock_common.contracts.stream import Ended

PATH = "/v1/chat/completions"


class Writer(Protocol):
    """Renders an answer as server-sent events."""

    def has_news(self, answer: Answer) -> bool:
        """Whether `render` gives something."""

    def render(self, answer: Answer) -> bytes:
        """The events of what arrived and was not rendered yet; empty where there is none."""

    def told_all(self, answer: Answer) -> bool:
        """Whether the client has every event of an answer that is over."""

    def end(self, answer: Answer, ended: Ended) -> bytes:
        """The events of the end that the client lacks."""


class ChatCompletions(AnsweringRoute[Form]):
    """Chat completions, whole or streamed."""

    path = PATH
    capability = "chat"

    def check(self, body: bytes) -> Checked[Form]:
        """The form that a body asks for. Raises InvalidRequest."""
        return Checked(chat_form(body), body)

    async def relay(self, reply: Reply, generation: Generation, form: Form) -> None:
        """Answer the client. Raises ClientLeft and whatever ended the generation."""
        identity = Identity(f"chatcmpl-{reply.name}", int(generation.accepted_at.timestamp()), form.model)
        if form.streamed:
            await stream(reply, generation, EventWriter(identity, form.includes_usage))
        else:
            await whole(reply, generation, identity)


async def whole(reply: Reply, generation: Generation, identity: Identity) -> None:
    """Wait for the end, then answer. Raises ClientLeft and whatever ended the generation."""
    end = await ended(generation)
    await reply.whole(completion(generation.answer.body, end, identity))


async def stream(reply: Reply, generation: Generation, writer: Writer) -> None:
    """Relay what arrives, as fast as the client reads it. Raises ClientLeft and whatever ended the generation."""
    answer = generation.answer
    while not (writer.has_news(answer) or answer.is_over):
        await generation.changed()
    if writer.told_all(answer):
        await reply.nothing()
        return
    if not writer.has_news(answer) and (answer.broken or not answer.has_begun):
        answer.success()  # a failure before the first byte has a status of its own
    await reply.begin_stream(answer)
    while True:
        events = writer.render(answer)
        if answer.is_over and not writer.has_news(answer):
            break
        if events:
            await reply.stream(events)
        if not writer.has_news(answer):
            await generation.changed()
    if answer.failure and events:
        await reply.stream(events)
    await reply.end_stream(events + writer.end(answer, answer.success()))
