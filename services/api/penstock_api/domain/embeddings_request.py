"""What an embeddings request must be, as OpenAI's reference has it; other members pass through unread."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from penstock_api.domain import strict_json
from penstock_api.domain.chat_request import invalid_member
from penstock_api.domain.errors import InvalidRequest

MOST_INPUTS = 2048
MOST_TOKENS = 8192  # of one input given as token ids

Token = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Text = Annotated[str, Meta(min_length=1)]
Tokens = Annotated[list[Token], Meta(min_length=1, max_length=MOST_TOKENS)]


class EmbeddingsRequest(msgspec.Struct):
    """The members that we check."""

    model: Annotated[str, Meta(min_length=1, max_length=128)]
    input: str | list[Any]
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[int, Meta(ge=1, le=65_536)] | None = None
    truncate_prompt_tokens: Literal[-1] | None = None
    user: Annotated[str, Meta(max_length=512)] | None = None


class EmbeddingsForm(msgspec.Struct, frozen=True):
    """What the answer depends on; all that is kept of a request while it is answered."""

    model: str
    """As the client wrote it."""
    base64: bool
    streamed: bool = False
    includes_usage: bool = False


def embeddings_form(raw: bytes) -> tuple[EmbeddingsForm, bytes]:
    """The form of the answer that a request body asks for, and the body for inference. Raises InvalidRequest.

    Inference is always asked for base64: it is a quarter of the size of numbers, and exact.
    """
    value = strict_json.parse(raw)
    if not isinstance(value, dict):
        raise InvalidRequest("The body must be a JSON object with `model` and `input`.")
    request = converted(value, EmbeddingsRequest)
    _check_input(request.input)
    form = EmbeddingsForm(request.model, request.encoding_format == "base64")
    return form, msgspec.json.encode(value | {"encoding_format": "base64"})


def converted(value: object, type_: Any, within: str = "") -> Any:
    """A value as a type. Raises InvalidRequest, naming the place."""
    try:
        return msgspec.convert(value, type_)
    except msgspec.ValidationError as error:
        raise invalid_member(str(error), within) from error


def _check_input(given: str | list[Any]) -> None:
    if isinstance(given, str):
        converted(given, Text, "input")
    elif not given:
        raise InvalidRequest("`input` is empty; send a text, or up to 2048 of them.", "input")
    elif isinstance(given[0], int):
        converted(given, Tokens, "input")
    elif len(given) > MOST_INPUTS:
        raise InvalidRequest(f"`input` has {len(given)} entries; send at most {MOST_INPUTS} at once.", "input")
    else:
        for place, entry in enumerate(given):
            converted(entry, Tokens if isinstance(entry, list) else Text, f"input[{place}]")
