"""What a chat completion request must be, as OpenAI's reference has it; other members pass through unread."""

import re
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from penstock_api.domain import strict_json
from penstock_api.domain.errors import InvalidRequest

Count = Annotated[int, Meta(ge=1, le=1_000_000)]
Penalty = Annotated[float, Meta(ge=-2, le=2)]
Name = Annotated[str, Meta(min_length=1, max_length=256)]
Role = Literal["system", "developer", "user", "assistant", "tool", "function"]

PARTS = ("text", "image_url", "input_audio", "file", "refusal", "video_url")
"""Content parts whose type names the member that carries them."""


class Part(msgspec.Struct):
    """One part of a message's content; types we don't know are the engine's to judge."""

    type: Name
    text: str | None = None
    refusal: str | None = None
    image_url: dict[str, Any] | None = None
    input_audio: dict[str, Any] | None = None
    file: dict[str, Any] | None = None
    video_url: dict[str, Any] | None = None


class FunctionCall(msgspec.Struct):
    """A function that the model called."""

    name: Name
    arguments: str


class ToolCall(msgspec.Struct):
    """A tool call of an earlier answer."""

    id: str
    function: FunctionCall | None = None
    type: str = "function"


class Message(msgspec.Struct):
    """One message of the conversation."""

    role: Role
    content: str | Annotated[list[Part], Meta(min_length=1)] | None = None
    name: str | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None


class Function(msgspec.Struct):
    """A function that the model may call."""

    name: Name
    description: str | None = None
    parameters: dict[str, Any] | None = None


class Tool(msgspec.Struct):
    """A tool that the model may use."""

    type: Name
    function: Function | None = None


class NamedFunction(msgspec.Struct):
    """A function by name."""

    name: Name


class ToolChoice(msgspec.Struct):
    """The tool that the model must use."""

    type: Name
    function: NamedFunction | None = None


class JsonSchema(msgspec.Struct):
    """The shape that the answer must have."""

    name: Name
    schema: dict[str, Any] | None = None


class ResponseFormat(msgspec.Struct):
    """The form of the answer."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None


class StreamOptions(msgspec.Struct):
    """What a stream shows beside the answer."""

    include_usage: bool | None = None


class ChatRequest(msgspec.Struct):
    """The members that we check."""

    model: Annotated[str, Meta(min_length=1, max_length=128)]
    messages: Annotated[list[Message], Meta(min_length=1)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Count | None = None
    max_completion_tokens: Count | None = None
    n: Annotated[int, Meta(ge=1, le=8)] | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    stop: str | Annotated[list[str], Meta(max_length=4)] | None = None
    seed: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    logit_bias: dict[str, Annotated[float, Meta(ge=-100, le=100)]] | None = None
    tools: Annotated[list[Tool], Meta(max_length=128)] | None = None
    tool_choice: Literal["none", "auto", "required"] | ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    user: Annotated[str, Meta(max_length=512)] | None = None


class Form(msgspec.Struct, frozen=True):
    """What the answer depends on; all that is kept of a request while it is answered."""

    model: str
    """As the client wrote it."""
    streamed: bool
    includes_usage: bool


def chat_form(raw: bytes) -> Form:
    """The form of the answer that a request body asks for. Raises InvalidRequest."""
    request = chat_request(raw)
    options = request.stream_options
    return Form(request.model, bool(request.stream), bool(options and options.include_usage))


def chat_request(raw: bytes) -> ChatRequest:
    """A request body, checked. Raises InvalidRequest."""
    value = strict_json.parse(raw)
    if not isinstance(value, dict):
        raise InvalidRequest("The body must be a JSON object with `model` and `messages`.")
    try:
        request = msgspec.convert(value, ChatRequest)
    except msgspec.ValidationError as error:
        _find_message(value.get("messages"))
        raise invalid_member(str(error)) from error
    _check_members(request)
    for i, message in enumerate(request.messages):
        _check_message(f"messages[{i}]", message)
    return request


def _find_message(messages: object) -> None:
    """Raise InvalidRequest for the first wrong message, by its number: msgspec's paths leave that out."""
    for i, message in enumerate(messages if isinstance(messages, list) else ()):
        try:
            msgspec.convert(message, Message)
        except msgspec.ValidationError as error:
            raise invalid_member(str(error), f"messages[{i}]") from error


def invalid_member(problem: str, within: str = "") -> InvalidRequest:
    """msgspec's sentence about a member, as ours: ``Expected `int`, got `str` - at `$.n` ``."""
    what, _, where = problem.partition(" - at ")
    inner = where.strip("`").removeprefix("$").replace("[...]", "[]")
    path = f"{within}{inner}".lstrip(".")
    if missing := re.search(r"missing required field `(\w+)`", what):
        param = f"{path}.{missing[1]}" if path else missing[1]
        return InvalidRequest(f"`{param}` is required.", param)
    return InvalidRequest(f"Invalid `{path}`: {what[:1].lower()}{what[1:]}.", path or None)


def _check_members(request: ChatRequest) -> None:
    if request.stream_options and not request.stream:
        raise InvalidRequest("`stream_options` is only allowed when `stream` is true.", "stream_options")
    if request.max_tokens and request.max_completion_tokens:
        raise InvalidRequest("Set `max_tokens` or `max_completion_tokens`, not both: they mean the same.", "max_tokens")
    if request.top_logprobs and not request.logprobs:
        raise InvalidRequest("`top_logprobs` needs `logprobs` to be true.", "top_logprobs")
    if request.tool_choice and request.tool_choice != "none" and not request.tools:
        raise InvalidRequest("`tool_choice` is only allowed when `tools` are given.", "tool_choice")
    for i, tool in enumerate(request.tools or ()):
        if tool.type == "function" and tool.function is None:
            raise InvalidRequest(f"`tools[{i}].function` is required.", f"tools[{i}].function")
    form = request.response_format
    if form and form.type == "json_schema" and form.json_schema is None:
        raise InvalidRequest("`response_format.json_schema` is required.", "response_format.json_schema")


def _check_message(path: str, message: Message) -> None:
    if message.role == "tool" and not message.tool_call_id:
        raise InvalidRequest(f"`{path}.tool_call_id` is required in a message of a tool.", f"{path}.tool_call_id")
    if message.content is None and message.role != "assistant":
        raise InvalidRequest(f"`{path}.content` is required.", f"{path}.content")
    if isinstance(message.content, list):
        for i, part in enumerate(message.content):
            if part.type in PARTS and getattr(part, part.type) is None:
                param = f"{path}.content[{i}].{part.type}"
                raise InvalidRequest(f"`{param}` is required in a part of this type.", param)
