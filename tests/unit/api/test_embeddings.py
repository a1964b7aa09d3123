"""What an embeddings request may be, and how its answer looks to the client."""

from array import array
from base64 import b64encode
from typing import Any

import msgspec
import pytest

from penstock_api.domain.embeddings_format import embeddings
from penstock_api.domain.embeddings_request import embeddings_form
from penstock_api.domain.errors import AnswerBroken, InvalidRequest
from penstock_common.contracts.generation import Tokens
from penstock_common.contracts.stream import Ended

ENDED = Ended(1, "succeeded", {}, {}, Tokens(7))
VECTOR = b64encode(array("f", [0.5, -0.25]).tobytes()).decode()


def form(**members: Any) -> Any:
    """The form, and the body for inference, of a request."""
    given, body = embeddings_form(msgspec.json.encode({"model": "m", "input": "a", **members}))
    return given, msgspec.json.decode(body)


@pytest.mark.parametrize("given", ["a", ["a", "b"], [1, 2], [[1], [2, 3]], ["a", [1]], ["a"] * 2048])
def test_every_form_of_an_input_is_taken(given: Any) -> None:
    """And reaches inference as it is, with what we don't know."""
    asked, body = form(input=given, extra={"x": 1})
    assert (body["input"], body["extra"], asked.streamed) == (given, {"x": 1}, False)


@pytest.mark.parametrize(("asked", "base64"), [({}, False), ({"encoding_format": "base64"}, True)])
def test_inference_is_always_asked_for_base64(asked: dict[str, str], base64: bool) -> None:
    """Whatever the client wants to have."""
    given, body = form(**asked)
    assert (given.base64, body["encoding_format"]) == (base64, "base64")


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"input": ""}, "input"),
    ({"input": []}, "input"),
    ({"input": 5}, "input"),
    ({"input": None}, "input"),
    ({"input": ["a", ""]}, "input[1]"),
    ({"input": ["a", 5]}, "input[1]"),
    ({"input": ["a", []]}, "input[1]"),
    ({"input": [[1], [-1]]}, "input[1][0]"),
    ({"input": [1, "a"]}, "input[1]"),
    ({"input": [1] * 8193}, "input"),
    ({"input": ["a"] * 2049}, "input"),
    ({"encoding_format": "hex"}, "encoding_format"),
    ({"dimensions": 0}, "dimensions"),
    ({"truncate_prompt_tokens": 5}, "truncate_prompt_tokens"),
    ({"model": ""}, "model"),
    ({"user": "x" * 513}, "user"),
]


@pytest.mark.parametrize(("members", "where"), WRONG, ids=lambda value: str(value)[:40])
def test_what_is_wrong_is_named(members: dict[str, Any], where: str) -> None:
    """By its place."""
    with pytest.raises(InvalidRequest) as raised:
        form(**members)
    assert raised.value.context["param"] == where


@pytest.mark.parametrize("raw", [b"[]", b"{", b'{"model":"m"}', b'{"input":"a"}', b"\xff"])
def test_what_is_no_request_is_refused(raw: bytes) -> None:
    """As a 400."""
    with pytest.raises(InvalidRequest):
        embeddings_form(raw)


@pytest.mark.parametrize(("base64", "vector"), [(True, VECTOR), (False, [0.5, -0.25])])
def test_an_answer_is_openais_list(base64: bool, vector: Any) -> None:
    """Under the name that the client used, with the tokens that are charged."""
    inner = msgspec.json.encode({"data": [{"index": 0, "embedding": VECTOR}], "model": "other"})
    assert msgspec.json.decode(embeddings(inner, ENDED, "mine", as_base64=base64)) == {
        "object": "list",
        "data": [{"object": "embedding", "index": 0, "embedding": vector}],
        "model": "mine",
        "usage": {"prompt_tokens": 7, "total_tokens": 7},
    }


@pytest.mark.parametrize("body", [b"", b"{}", b'{"data":[{"index":0,"embedding":"AAA="}]}', b'{"data":[{"index":0}]}'])
def test_a_broken_answer_is_called_so(body: bytes) -> None:
    """Never a 500."""
    with pytest.raises(AnswerBroken):
        embeddings(body, ENDED, "mine", as_base64=False)
