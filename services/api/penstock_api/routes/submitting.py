"""POST /api/v1/inference: a request is accepted now, and its answer fetched later."""

import asyncio
from dataclasses import dataclass
from typing import ClassVar

from starlette.types import Receive, Scope, Send

from penstock_api.domain.deliveries import depth_of
from penstock_api.domain.errors import ClientLeft
from penstock_api.domain.idempotency import idempotency_key_of
from penstock_api.domain.keys import Scope as KeyScope
from penstock_api.domain.submission import Submission, submission_of
from penstock_api.domain.suitability import decided, suited
from penstock_api.ports.catalogue import Models
from penstock_api.ports.keys import Authenticator
from penstock_api.ports.submissions import Accepted, Submissions, Submitted
from penstock_api.routes.body import header, read_body
from penstock_api.routes.edge import refused
from penstock_api.routes.reply import REPLAYED, tell
from penstock_api.routes.submitting_document import PATH, InferenceAccepted, Links
from penstock_common.contracts.runs import DEPTH_HEADER

LARGE_BODY = 256 * 1024  # bytes; parsing more than that would hold up the loop
IDEMPOTENCY_KEY = b"idempotency-key"
DEPTH = DEPTH_HEADER.encode()


@dataclass(frozen=True, slots=True)
class SubmittingRoute:
    """The route as an ASGI application of its own: hundreds of clients may submit at once, all the time."""

    keys: Authenticator
    models: Models
    submissions: Submissions
    answer_seconds: float
    method: ClassVar[str] = "POST"
    path: ClassVar[str] = PATH

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        try:
            submission, accepted = await self._accept(scope, receive)
        except ClientLeft:
            return
        except Exception as error:
            await refused(scope, receive, send, error)
            return
        await answer(scope, submission, accepted)

    async def _accept(self, scope: Scope, receive: Receive) -> tuple[Submission, Accepted]:
        """Read, check and accept a request. Raises what is wrong with it."""
        key = self.keys.authenticate(header(scope, b"authorization"))
        key.require(KeyScope.CHAT)
        name, depth = idempotency_key_of(header(scope, IDEMPOTENCY_KEY)), depth_of(header(scope, DEPTH))
        raw = await read_body(scope, receive)
        submission = await self._checked(raw)
        asked, version = submission.form.model, self.models.version
        model = suited(self.models.resolve(asked), asked, submission.wanted.kind)
        submitted = Submitted(
            request_id=scope["state"]["request_id"],
            key=key,
            submission=submission,
            model=model.name,
            catalogue_version=version,
            decisions=decided(key, asked, model, version),
            raw=raw,
            idempotency_key=name,
            depth=depth,
        )
        return submission, await self.submissions.submit(submitted)

    async def _checked(self, raw: bytes) -> Submission:
        """A large body is parsed beside the loop."""
        if len(raw) < LARGE_BODY:
            return submission_of(raw, self.answer_seconds)
        return await asyncio.to_thread(submission_of, raw, self.answer_seconds)


async def answer(scope: Scope, submission: Submission, accepted: Accepted) -> None:
    """Tell where the request is from now on."""
    scope["state"]["request_id"] = accepted.request_id
    place = f"{PATH}/{accepted.request_id}"
    stream = f"{place}/stream" if submission.form.streamed else None
    view = InferenceAccepted(
        id=accepted.request_id,
        lane=submission.wanted.lane,
        position=accepted.position,
        expected_wait_seconds=accepted.expected_wait_seconds,
        links=Links(self=place, result=f"{place}/result", stream=stream),
    )
    lines = b"location: %b\r\n" % place.encode() + (REPLAYED if accepted.repeated else b"")
    await tell(scope, 202, view.model_dump_json().encode(), lines)
