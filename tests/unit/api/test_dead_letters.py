"""Dead letters without a database: which are the same, what is shown of them, what they may become."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest

from penstock_api.domain.dead_letter_payload import changed, merged, shown
from penstock_api.domain.dead_letters import (
    RETRY,
    Act,
    Choice,
    Counted,
    EditRefused,
    State,
    allowed,
    described,
    identity_of,
    retry_of,
    tenant_of,
)
from penstock_common.contracts.base import Contract, Wire, decode, encode
from penstock_common.contracts.generation import GenerateText
from penstock_common.messaging.deadletter import DeadLetter
from penstock_common.topology import CATALOGUE_CHANGED, GENERATE_TEXT, PLATFORM
from tests.contract.examples import example

AT = datetime(2026, 11, 21, tzinfo=UTC)


def a_letter(**fields: Any) -> DeadLetter:
    """A letter of billing."""
    given: dict[str, Any] = {
        "consumer": "billing-x",
        "message_id": "m1",
        "subject": "s.v1",
        "sequence": "S:1",
        "attempts": 3,
    }
    given |= {"reason": "r", "first_failed_at": AT, "last_failed_at": AT, "headers": {}, "body": b"body"}
    return DeadLetter(**given | fields)


def test_copies_of_a_letter_are_the_same_letter() -> None:
    """Whatever their times, attempts and places on the bus; RabbitMQ may make two of one message."""
    one = a_letter()
    assert identity_of(one) == identity_of(replace(one, sequence="S:2", attempts=4, reason="q"))
    others = [replace(one, consumer="api-x"), replace(one, message_id="m2"), replace(one, body=b"other")]
    nameless = [replace(one, message_id="", sequence=s) for s in ("S:1", "S:2")]
    assert len({identity_of(letter) for letter in (one, *others, *nameless)}) == 6


def test_parts_of_an_identity_do_not_run_into_each_other() -> None:
    """A consumer `a` with an id `bc` is not `ab` with `c`."""
    assert identity_of(a_letter(consumer="a", message_id="bc")) != identity_of(a_letter(consumer="ab", message_id="c"))


def test_headers_that_say_nothing_useful_say_nothing() -> None:
    """Anybody may have written them."""
    letter, act = uuid4(), uuid4()
    assert retry_of({RETRY: f"{letter}/{act}"}) == (letter, act)
    assert [retry_of({RETRY: text}) for text in ("", "/", f"{letter}", f"{letter}/x")] == [None] * 4
    assert tenant_of({"penstock-tenant": str(letter)}) == letter
    assert tenant_of({"penstock-tenant": "acme"}) is tenant_of({}) is None


def test_sealed_fields_are_shown_as_sealed() -> None:
    """Their length and nothing else, in either way of writing; also where the rest does not fit the contract."""
    command: GenerateText = example(GenerateText, every=True)
    for wire in Wire:
        found = shown(encode(command, wire), GenerateText, wire)
        assert found.payload["sealed"] == {"sealed": len(command.sealed)}
        assert found.payload["request_id"] == str(command.request_id)
        assert found.problem == ""
    wrong = msgspec.msgpack.encode({"request_id": 7, "sealed": b"secret"})
    found = shown(wrong, GenerateText, Wire.MSGPACK)
    assert found.payload == {"request_id": 7, "sealed": {"sealed": 6}}
    assert "request_id" in found.problem


@pytest.mark.parametrize("body", [b"", b"\xff\xfe", b"{", b"[" * 5000])
def test_what_nobody_can_read_is_shown_as_bytes(body: bytes) -> None:
    """Bounded, with a reason, and never an error."""
    found = shown(body, CATALOGUE_CHANGED.contract, Wire.JSON)
    assert found.payload["bytes"] == len(body)
    assert found.problem


def test_numbers_that_are_no_json_are_text() -> None:
    """MessagePack has them."""
    assert shown(msgspec.msgpack.encode({"a": float("nan")}), None, Wire.MSGPACK).payload == {"a": "nan"}


def test_a_merge_patch_is_that_of_the_rfc() -> None:
    """RFC 7396, appendix A: the cases that are objects."""
    for before, patch, after in (
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": "foo"}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
    ):
        assert merged(before, patch) == after


@pytest.mark.parametrize("contract", [topic.contract for topic in PLATFORM.topics], ids=lambda c: c.__name__)
def test_an_edit_changes_only_what_it_names(contract: type[Contract]) -> None:
    """Of every message of the platform; an empty one changes nothing at all."""
    topic, message = PLATFORM.topic(contract), example(contract, every=True)
    body = encode(message, topic.wire)
    assert changed(body, {}, None, topic) == message
    assert decode(contract, encode(changed(body, {}, None, topic), topic.wire), topic.wire) == message


def test_what_an_edit_may_not_do_is_refused_by_name() -> None:
    """A field that there is not, one that is sealed, a value of the wrong kind, one that has to be there."""
    body = encode(example(GenerateText, every=True), Wire.MSGPACK)
    for patch, words in (
        ({"colour": "red"}, "no field 'colour'"),
        ({"sealed": "c2VjcmV0"}, "`sealed` is sealed"),
        ({"request_id": "x"}, "request_id"),
        ({"model": None}, "model"),
    ):
        with pytest.raises(EditRefused, match=words):
            changed(body, patch, None, GENERATE_TEXT)
    with pytest.raises(EditRefused, match="give a whole payload"):
        changed(b"\xff", {"model": "m"}, None, GENERATE_TEXT)
    edited = changed(body, {"model": "other"}, None, GENERATE_TEXT)
    assert isinstance(edited, GenerateText)
    assert (edited.model, edited.sealed) == ("other", decode(GenerateText, body, Wire.MSGPACK).sealed)


@pytest.mark.parametrize(
    ("act", "states"),
    [
        (Act.RETRY, {State.WAITING, State.ACKNOWLEDGED, State.DROPPED}),
        (Act.DROP, {State.WAITING, State.ACKNOWLEDGED, State.DUE}),
        (Act.ACKNOWLEDGE, {State.WAITING}),
    ],
)
def test_an_act_leaves_letters_alone_that_are_past_it(act: Act, states: set[State]) -> None:
    """What is on its way can neither be retried nor dropped."""
    assert set(allowed(Choice(states=tuple(State)), act).states) == states
    assert set(allowed(Choice(), act).states) == states & {State.WAITING, State.ACKNOWLEDGED}


def test_the_audit_log_names_what_chose_and_what_was_found() -> None:
    """As text, without what did not choose."""
    id_ = UUID(int=7)
    details = described(Choice(consumer="billing-*", ids=[id_]), Counted({"billing-x": 2, "billing-y": 1}, id_))
    assert details == {
        "consumer": "billing-*",
        "states": "waiting, acknowledged",
        "ids": str(id_),
        "count": "3",
        "consumers": "billing-x 2, billing-y 1",
    }
