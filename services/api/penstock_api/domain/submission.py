"""A request whose answer is fetched later: what it must be, and what may be wrong with it."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from penstock_api.domain import strict_json
from penstock_api.domain.callbacks import Callback
from penstock_api.domain.chat_request import Form, chat_form
from penstock_api.domain.embeddings_request import EmbeddingsForm, converted, embeddings_form
from penstock_api.domain.errors import InvalidRequest
from penstock_common.contracts.queueing import HIGHEST, USUAL
from penstock_common.errors import Fault, PenstockError

LONGEST_SECONDS = 86_400
USUAL_SECONDS = 3600
WITHIN = "request"


class QueueFull(PenstockError):
    """The queue takes no more of this project for now; send the request again later."""

    code = "api.queue_full"
    fault = Fault.LIMITED


class Wanted(msgspec.Struct, frozen=True):
    """The members of the body."""

    request: dict[str, Any]
    """The body of OpenAI's chat completions or embeddings."""
    kind: Literal["chat", "embeddings"] = "chat"
    lane: Literal["batch", "interactive"] = "batch"
    priority: Annotated[int, Meta(ge=0, le=HIGHEST)] | None = None
    """In the queue, of the batch lane: the highest first."""
    deadline_seconds: Annotated[float, Meta(ge=1, le=LONGEST_SECONDS)] | None = None
    """How long it may take; what has not ended by then is `expired`."""
    webhook: UUID | Callback | None = None
    """Who hears of the end of the request: a webhook of the project, whose task is run, or a URL."""


MEMBERS = Wanted.__struct_fields__


@dataclass(frozen=True, slots=True)
class Submission:
    """A body that was checked."""

    form: Form | EmbeddingsForm
    body: bytes
    """What inference is given."""
    wanted: Wanted
    seconds: float
    """From its acceptance to its deadline."""

    @property
    def embeds(self) -> bool:
        """Whether it asks for vectors."""
        return self.wanted.kind == "embeddings"

    @property
    def is_queued(self) -> bool:
        """Whether it waits until nobody who waits for an answer needs its place."""
        return self.wanted.lane == "batch"

    @property
    def priority(self) -> int:
        """Its place among those of its tenant."""
        return USUAL if self.wanted.priority is None else self.wanted.priority


def submission_of(raw: bytes, answer_seconds: float) -> Submission:
    """A body, checked; an interactive request may take `answer_seconds`. Raises InvalidRequest, naming the member."""
    value = strict_json.parse(raw)
    if not isinstance(value, dict):
        raise InvalidRequest("The body must be a JSON object with `request`.")
    if unknown := sorted(value.keys() - set(MEMBERS)):
        name = unknown[0][:80]
        raise InvalidRequest(f"`{name}` is not a member of this body; it takes {', '.join(MEMBERS)}.", name)
    wanted: Wanted = converted(value, Wanted)
    form, body = _checked(wanted)
    return Submission(form, body, wanted, _seconds(wanted, answer_seconds))


def _checked(wanted: Wanted) -> tuple[Form | EmbeddingsForm, bytes]:
    """The inner body, as its own route checks it; places are told from the outer one."""
    body = msgspec.json.encode(wanted.request)
    try:
        return embeddings_form(body) if wanted.kind == "embeddings" else (chat_form(body), body)
    except InvalidRequest as error:
        param = error.context["param"]
        raise InvalidRequest(f"In `{WITHIN}`: {error.message}", f"{WITHIN}.{param}" if param else WITHIN) from error


def _seconds(wanted: Wanted, answer_seconds: float) -> float:
    if wanted.lane == "batch":
        return wanted.deadline_seconds or USUAL_SECONDS
    if wanted.priority is not None:
        raise InvalidRequest("`priority` orders the queue of the batch lane; leave it out here.", "priority")
    if wanted.deadline_seconds and wanted.deadline_seconds > answer_seconds:
        problem = (
            f"`deadline_seconds` is at most {answer_seconds:g} on the interactive lane; the batch lane takes more."
        )
        raise InvalidRequest(problem, "deadline_seconds")
    return wanted.deadline_seconds or answer_seconds
