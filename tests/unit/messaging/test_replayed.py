"""Messages that are said again: their marks go on to what they cause, and decide what may reach outside."""

from collections.abc import Iterator

import pytest

from penstock_common.messaging.addressing import addressed
from penstock_common.messaging.envelope import CONTEXT, EFFECTS, ORIGINAL, REPLAY, Context, envelop, inherited
from penstock_common.messaging.ports import Incoming, Outgoing
from penstock_common.messaging.replayed import apart, effects_allowed, marked
from tests.unit.messaging.fakes import COUNTED, LANE, Counted

FIRST = envelop(Counted(n=1), COUNTED)


@pytest.fixture(autouse=True)
def _own_context() -> Iterator[None]:
    token = CONTEXT.set(Context())
    yield
    CONTEXT.reset(token)


def arrived(message: Outgoing) -> Incoming:
    """On the other side."""
    return Incoming(message.subject, message.headers["ce-id"], message.headers, message.body, None)


def test_the_marks_go_on_to_what_is_caused() -> None:
    """By way of the context, in which handlers run."""
    for effects in (False, True):
        context = inherited(arrived(marked(FIRST, "act-1", effects=effects)))
        CONTEXT.set(context)
        assert effects_allowed() is effects
        caused = envelop(Counted(n=2), COUNTED)
        assert (caused.headers[REPLAY], caused.headers.get(EFFECTS)) == ("act-1", "allow" if effects else None)
        assert caused.message_id == caused.headers["ce-id"]


def test_what_nobody_replayed_may_reach_outside() -> None:
    """Outside of handlers too; and it carries no mark."""
    assert effects_allowed()
    CONTEXT.set(inherited(arrived(FIRST)))
    assert effects_allowed()
    assert not {REPLAY, EFFECTS} & envelop(Counted(n=2), COUNTED).headers.keys()


def test_a_second_replay_of_what_was_allowed_is_not_allowed_by_itself() -> None:
    """The newest act decides."""
    again = marked(marked(FIRST, "act-1", effects=True), "act-2")
    assert (again.headers[REPLAY], EFFECTS in again.headers) == ("act-2", False)
    assert again.message_id == f"{FIRST.message_id}:act-2"


def test_an_address_keeps_what_inboxes_know_and_forgets_earlier_attempts() -> None:
    """The `ce-id` and the first topic stay, also where it was addressed before."""
    tried = Outgoing(FIRST.subject, FIRST.stream, FIRST.message_id, {**FIRST.headers, "dlq-attempts": "3"}, b"x")
    once = addressed(tried, LANE, "act-1")
    twice = addressed(once, LANE, "act-2")
    for message, act in ((once, "act-1"), (twice, "act-2")):
        assert (message.subject, message.stream) == (f"only.{LANE.name}", LANE.topic.stream)
        assert message.message_id == f"{FIRST.message_id}:{act}"
        assert (message.headers["ce-id"], message.headers[ORIGINAL]) == (FIRST.message_id, FIRST.subject)
        assert "dlq-attempts" not in message.headers


def test_what_is_marked_alike_is_handled_together() -> None:
    """In the order in which it came."""
    again, allowed = marked(FIRST, "act-1"), marked(FIRST, "act-1", effects=True)
    live, *rest = [arrived(message) for message in (FIRST, again, allowed, FIRST, again)]
    assert apart([live, *rest]) == ([live, rest[2]], [rest[0], rest[3]], [rest[1]])
