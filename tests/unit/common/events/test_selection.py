"""Which events are wanted, and what is refused as a choice."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from penstock_common.events.event import kind_of
from penstock_common.events.selection import Selection, SelectionInvalid, header_of
from penstock_common.messaging.topology import Kind
from tests.support.outboxes import BEGIN, an_event

TENANT = UUID("01a2009d-463a-7567-9141-86299c0974c9")
TRACE = "0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize(
    ("glob", "fits", "fits_not"),
    [
        ("billing.*", "billing.x", "billing.x.y"),
        ("billing.>", "billing.x.y", "billing"),
        (">", "anything.at.all", None),
        ("*.usage.*.v1", "billing.usage.recorded.v1", "billing.usage.recorded.v10"),
        ("only.api-on-x", "only.api-on-x", "only.api-on-y"),
        ("a.b", "a.b", "axb"),
    ],
)
def test_globs_are_those_of_nats(glob: str, fits: str, fits_not: str | None) -> None:
    """A star is one part, a last `>` at least one more."""
    wanted = Selection(subjects=(glob,))
    assert wanted.matches(an_event(subject=fits))
    assert fits_not is None or not wanted.matches(an_event(subject=fits_not))


@pytest.mark.parametrize(
    "glob", ["", "a..b", "a.>.b", "a.b$", "a' or true --", "a.*b", "a.\n", "x" * 200, "(a)", "a|b"]
)
def test_what_is_no_glob_is_refused(glob: str) -> None:
    """Nothing of it reaches a database."""
    with pytest.raises(SelectionInvalid, match="is no topic"):
        Selection(subjects=(glob,))


def test_moments_bound_it_to_the_millisecond() -> None:
    """The first is in, the last is out."""
    wanted = Selection(since=BEGIN, until=BEGIN + timedelta(milliseconds=2))
    moments = [BEGIN + timedelta(milliseconds=n) for n in (-1, 0, 1, 2)]
    assert [wanted.matches(an_event(at)) for at in moments] == [False, True, True, False]


def test_all_that_is_given_must_hold() -> None:
    """Each of these alone turns the event away."""
    headers = {
        "penstock-tenant": str(TENANT),
        "penstock-correlation": "c",
        "traceparent": f"00-{TRACE}-0123456789abcdef-01",
    }
    event = an_event(headers=headers, message_id="m")
    right: dict[str, Any] = {
        "services": ("billing",),
        "tenant": TENANT,
        "correlation": "c",
        "trace_id": TRACE,
        "message_ids": frozenset({"m"}),
        "attributes": {"source": "penstock/billing", "penstockcorrelation": "c", "datacontenttype": "application/json"},
        "kinds": frozenset({Kind.EVENT}),
    }
    wrong: dict[str, Any] = {
        "services": ("api",),
        "tenant": UUID(int=1),
        "correlation": "d",
        "trace_id": "f" * 32,
        "message_ids": frozenset({"n"}),
        "attributes": {"source": "penstock/api"},
        "kinds": frozenset({Kind.COMMAND}),
    }
    assert Selection(**right).matches(event)
    assert not any(Selection(**right | {name: value}).matches(event) for name, value in wrong.items())


@pytest.mark.parametrize(
    "given",
    [
        {"subjects": ("a",) * 51},
        {"message_ids": frozenset(map(str, range(10_001)))},
        {"correlation": "x" * 257},
        {"correlation": "a\0"},
        {"trace_id": "A" * 32},
        {"trace_id": "abc"},
        {"attributes": {"Type": "x"}},
        {"attributes": {"a" * 21: "x"}},
        {"attributes": {"x'": "x"}},
        {"since": datetime(2026, 1, 1)},  # noqa: DTZ001 (a moment without a zone is the case)
        {"kinds": frozenset({Kind.QUERY})},
    ],
)
def test_what_is_too_much_or_no_value_is_refused(given: dict[str, Any]) -> None:
    """With what was wrong."""
    with pytest.raises(SelectionInvalid):
        Selection(**given)


def test_values_never_stand_in_the_statement() -> None:
    """They are given beside it, by place."""
    evil = "'; drop table x; --"
    given: list[object] = ["before"]
    chosen = Selection(since=BEGIN, subjects=("a.*",), correlation=evil, attributes={"subject": evil}, tenant=TENANT)
    statement = chosen.conditions(given)
    assert "drop" not in statement
    assert "'" not in statement
    assert statement.count("$") == len(given) - 1
    assert given[0] == "before"


def test_attributes_are_headers() -> None:
    """CloudEvents' own, ours, and the two that have another name as a header."""
    names = ("id", "datacontenttype", "traceparent", "penstocktenant")
    assert [header_of(name) for name in names] == ["ce-id", "content-type", "traceparent", "penstock-tenant"]


def test_a_message_to_one_consumer_asks_for_something() -> None:
    """Only facts are facts."""
    assert [kind_of(s) for s in ("cmd.x.y.z.v1", "only.billing-on-x", "billing.usage.recorded.v1")] == [
        Kind.COMMAND,
        Kind.COMMAND,
        Kind.EVENT,
    ]


def test_what_an_event_says_of_itself() -> None:
    """Its contract's topic, also where it went to one consumer; its trace; its time by its id."""
    headers = {"ce-type": "penstock.a.b.c.v1", "traceparent": f"00-{TRACE}-0123456789abcdef-01"}
    event = an_event(BEGIN, "only.api-on-b", headers=headers)
    assert (event.topic, event.trace_id, event.at) == ("a.b.c.v1", TRACE, BEGIN.astimezone(UTC))
    assert (an_event().trace_id, event.outgoing.headers["ce-type"]) == ("", "penstock.a.b.c.v1")
