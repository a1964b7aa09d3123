"""`/api/v1/admin/dead-letters`: messages that could not be handled, and what operators do to them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query
from pydantic import AwareDatetime

from penstock_api.domain.dead_letters import FASTEST, OPEN, Act, Choice, LetterSettled, State, allowed
from penstock_api.domain.errors import InvalidRequest
from penstock_api.domain.keys import Key, Scope
from penstock_api.ports.dead_letters import Actor, Change, DeadLetters, LetterActs, LetterReading, Order
from penstock_api.ports.keys import Authenticator
from penstock_api.routes.authentication import authenticated
from penstock_api.routes.dead_letter_shapes import (
    NAME_LENGTH,
    Done,
    Edited,
    ExportPage,
    LetterPage,
    LetterWhole,
    Summary,
    ToDo,
    ToRetry,
    export_view,
    letter_view,
    whole_view,
)
from penstock_api.routes.documents import problems
from penstock_api.routes.json_body import documented, json_body

PATH = "/api/v1/admin/dead-letters"
Name = Annotated[str | None, Query(max_length=NAME_LENGTH)]
Moment = AwareDatetime | None


@dataclass(frozen=True, slots=True)
class Desk:
    """What the routes need."""

    letters: DeadLetters
    acts: LetterActs
    reading: LetterReading

    async def show(self, letter_id: UUID) -> LetterWhole:
        """One letter. Raises LetterNotFound."""
        whole = await self.letters.find(letter_id)
        return whole_view(whole, self.reading, await self.reading.foresee(whole))

    async def one(self, act: Act, letter_id: UUID, caller: Key) -> LetterWhole:
        """Do it to one letter. Raises LetterNotFound, LetterSettled, ConsumerGone."""
        order = Order(act, Choice(ids=[letter_id], states=tuple(State)), FASTEST)
        outcome = await self.acts.do(order, actor_of(caller))
        shown = await self.show(letter_id)
        if not outcome.counted.count:
            raise LetterSettled(f"The dead letter is {shown.state.value}: {act.value} changes nothing any more.")
        return shown

    async def several(self, act: Act, wanted: ToDo, rate: float, caller: Key) -> Done:
        """Do it to all that is chosen, or count them. Raises InvalidRequest, TooManyLetters, ConsumerGone."""
        if not wanted.is_chosen():
            raise InvalidRequest("Nothing chooses dead letters; give a filter, or `everything: true`.", "everything")
        choice = wanted.choice()
        if wanted.dry_run:
            act_id, counted = None, await self.letters.count(allowed(choice, act))
        else:
            outcome = await self.acts.do(Order(act, choice, rate), actor_of(caller))
            act_id, counted = outcome.act_id, outcome.counted
        return Done(
            act_id=act_id,
            dry_run=wanted.dry_run,
            count=counted.count,
            by_consumer=dict(counted.by_consumer),
            up_to=counted.newest,
        )


def actor_of(key: Key) -> Actor:
    """Who asks, for the audit log."""
    return Actor(f"key:{key.id}")


def chosen(  # noqa: PLR0913, PLR0917 (one parameter a filter)
    consumer: Name = None,
    topic: Name = None,
    tenant: UUID | None = None,
    code: Name = None,
    state: Annotated[
        Sequence[State], Query(max_length=len(State), description="By default `waiting` and `acknowledged`.")
    ] = OPEN,
    failed_since: Moment = None,
    failed_before: Moment = None,
) -> Choice:
    """The filters of a list. A name may end in `*`, and then is a beginning."""
    return Choice(
        consumer=consumer,
        topic=topic,
        tenant=tenant,
        code=code,
        states=state,
        failed_since=failed_since,
        failed_before=failed_before,
    )


def dead_letters_router(authenticator: Authenticator, desk: Desk) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix=PATH, tags=["dead letters"])
    Caller = Annotated[Key, Depends(authenticated(authenticator, Scope.ADMIN))]
    Chosen = Annotated[Choice, Depends(chosen)]
    Id = Annotated[UUID, Path(alias="id")]
    After = Annotated[UUID | None, Query(description="Only what was collected after the letter of this id.")]
    few, acting = problems(401, 403, 422, 503), problems(401, 403, 409, 413, 422, 503)
    one = problems(401, 403, 404, 409, 422, 503)

    @router.get("", responses=few)
    async def list_dead_letters(
        _: Caller, choice: Chosen, after: After = None, limit: Annotated[int, Query(ge=1, le=500)] = 100
    ) -> LetterPage:
        """The dead letters of all projects, the oldest first."""
        return LetterPage(
            dead_letters=[letter_view(letter) for letter in await desk.letters.page(choice, after, limit)]
        )

    @router.get("/summary", responses=few)
    async def summarize_dead_letters(_: Caller) -> Summary:
        """How many there are, by consumer and state."""
        counts = await desk.letters.summary()
        waiting = sum(states.get(State.WAITING, 0) for states in counts.values())
        return Summary(
            unacknowledged=waiting,
            consumers={consumer: {State(s): n for s, n in states.items()} for consumer, states in counts.items()},
        )

    @router.get("/export", responses=few)
    async def export_dead_letters(
        caller: Caller, choice: Chosen, after: After = None, limit: Annotated[int, Query(ge=1, le=100)] = 100
    ) -> ExportPage:
        """Dead letters with headers, body and story; a page has 8 MiB of bodies at most, or one letter."""
        if after is None:
            await desk.acts.exported(choice, actor_of(caller))
        return ExportPage(dead_letters=[export_view(whole) for whole in await desk.letters.whole(choice, after, limit)])

    @router.post("/retry", responses=acting, openapi_extra=documented(ToRetry))
    async def retry_dead_letters(caller: Caller, wanted: Annotated[ToRetry, Depends(json_body(ToRetry))]) -> Done:
        """Have each be tried again by its own consumer alone, `rate` a second; its inbox decides what is new."""
        return await desk.several(Act.RETRY, wanted, wanted.rate, caller)

    @router.post("/drop", responses=acting, openapi_extra=documented(ToDo))
    async def drop_dead_letters(caller: Caller, wanted: Annotated[ToDo, Depends(json_body(ToDo))]) -> Done:
        """Let them not be tried again. They are kept for another 90 days, and can be retried until then."""
        return await desk.several(Act.DROP, wanted, FASTEST, caller)

    @router.post("/acknowledge", responses=acting, openapi_extra=documented(ToDo))
    async def acknowledge_dead_letters(caller: Caller, wanted: Annotated[ToDo, Depends(json_body(ToDo))]) -> Done:
        """Say that somebody knows of them: metric and alert count them no more."""
        return await desk.several(Act.ACKNOWLEDGE, wanted, FASTEST, caller)

    @router.get("/{id}", responses=problems(401, 403, 404, 422, 503))
    async def show_dead_letter(_: Caller, id_: Id) -> LetterWhole:
        """One dead letter: its payload by its contract, the story of its attempts, and what a retry would do."""
        return await desk.show(id_)

    @router.put("/{id}/payload", responses=acting | problems(404), openapi_extra=documented(Edited))
    async def edit_dead_letter(
        caller: Caller, id_: Id, wanted: Annotated[Edited, Depends(json_body(Edited))]
    ) -> LetterWhole:
        """Give the next attempts another payload. It has to fit the topic's contract; the original stays."""
        if (wanted.patch is None) == (wanted.payload is None):
            raise InvalidRequest("Give one of `patch` and `payload`.", "patch")
        await desk.acts.edit(id_, Change(wanted.patch, wanted.payload), actor_of(caller))
        return await desk.show(id_)

    @router.post("/{id}/retry", responses=one)
    async def retry_dead_letter(caller: Caller, id_: Id) -> LetterWhole:
        """Have it tried again now, by its own consumer alone."""
        return await desk.one(Act.RETRY, id_, caller)

    @router.post("/{id}/drop", responses=one)
    async def drop_dead_letter(caller: Caller, id_: Id) -> LetterWhole:
        """Let it not be tried again."""
        return await desk.one(Act.DROP, id_, caller)

    @router.post("/{id}/acknowledge", responses=one)
    async def acknowledge_dead_letter(caller: Caller, id_: Id) -> LetterWhole:
        """Say that somebody knows of it."""
        return await desk.one(Act.ACKNOWLEDGE, id_, caller)

    return router
