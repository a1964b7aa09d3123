"""What one parser reads, every other one reads too."""

import contextlib
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_api.domain.chat_request import chat_request
from penstock_api.domain.errors import InvalidRequest
from penstock_api.domain.strict_json import parse
from penstock_common.tracing.traceparent import continued

numbers = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
strings = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
leaves: st.SearchStrategy[Any] = st.one_of(st.none(), st.booleans(), numbers, strings)
names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
values = st.recursive(leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4))


@given(values, st.booleans())
def test_whatever_passes_is_read_alike_by_the_engines_side(value: Any, ascii_only: bool) -> None:
    """Inference decodes with msgspec what was accepted here."""
    raw = json.dumps(value, ensure_ascii=ascii_only).encode()
    assert parse(raw) == msgspec.json.decode(raw) == value


@given(st.binary(max_size=60))
def test_no_bytes_make_it_fail_otherwise(raw: bytes) -> None:
    """Whatever is sent: a value, or a sentence."""
    with contextlib.suppress(InvalidRequest):
        parse(raw)


@given(
    st.sampled_from(['"', "[", "]", "{", "}", ",", ":", "\\", "u", "d800", "0", "1e9", "-", "a", " ", "NaN"]).flatmap(
        lambda first: st.lists(st.sampled_from(list('"[]{},:\\u0de19-a ')), max_size=30).map(
            lambda r: first + "".join(r)
        )
    )
)
def test_almost_json_is_accepted_only_if_msgspec_reads_it(text: str) -> None:
    """Nothing passes here that inference could not decode."""
    try:
        value = parse(text.encode())
    except InvalidRequest:
        return
    assert msgspec.json.decode(text) == value


def test_paths_name_the_place() -> None:
    """Deep inside, members and numbers."""
    with pytest.raises(InvalidRequest, match=r"at messages\[1\]\.content") as raised:
        parse(rb'{"messages":[{},{"content":"a\u0000"}]}')
    assert raised.value.context["param"] == "messages[1].content"


def test_escaped_pairs_are_whole_characters() -> None:
    """A surrogate pair is no lone surrogate."""
    assert parse(rb'"\ud83d\ude00"') == "\U0001f600"


@given(st.dictionaries(st.sampled_from(["model", "messages", "n", "stop", "tools", "stream_options"]), values))
def test_any_members_are_accepted_or_explained(members: dict[str, Any]) -> None:
    """Types of any kind in any member never crash the check."""
    with contextlib.suppress(InvalidRequest):
        chat_request(json.dumps(members).encode())


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "garbage",
        f"00-{'0' * 32}-{'1' * 16}-01",
        f"ff-{'1' * 32}-{'1' * 16}-01",
        f"00-{'A' * 32}-{'1' * 16}-01",
    ],
)
def test_unusable_traceparent_begins_a_new_trace(header: str | None) -> None:
    """As W3C Trace Context asks for."""
    assert continued(header, bytes(range(24))) == f"00-{bytes(range(8, 24)).hex()}-{bytes(range(8)).hex()}-01"


def test_traceparent_is_continued_under_a_new_parent() -> None:
    """Trace id and flags stay."""
    assert continued(f"00-{'ab' * 16}-{'1' * 16}-00", bytes(24)) == f"00-{'ab' * 16}-{'0' * 16}-00"
