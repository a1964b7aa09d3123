"""pydantic-ai's messages as OpenAI's chat body, and back."""

from collections.abc import Iterator, Sequence
from typing import Any

from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    ModelResponse,
    ModelResponsePart,
    RetryPromptPart,
    SystemPromptPart,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.tools import ToolDefinition
from pydantic_ai.usage import RequestUsage

from penstock_worker.domain.errors import ModelRefused

Message = dict[str, Any]
MAX_CALLS = 32  # of one answer


def chat_body(messages: Sequence[ModelMessage], parameters: ModelRequestParameters) -> dict[str, Any]:
    """The body of the next model call."""
    body: dict[str, Any] = {"messages": [mapped for message in messages for mapped in _mapped(message)]}
    if tools := [*parameters.function_tools, *parameters.output_tools]:
        body["tools"] = [_tool(tool) for tool in tools]
        body["tool_choice"] = "auto" if parameters.allow_text_output else "required"
    return body


def response_of(answer: dict[str, Any], model: str) -> ModelResponse:
    """What a model answered. Raises ModelRefused where that is no chat completion."""
    try:
        choice = answer["choices"][0]
        said, calls = choice["message"].get("content") or "", choice["message"].get("tool_calls") or []
        parts: list[ModelResponsePart] = [TextPart(said)] if said else []
        parts += _calls(calls[:MAX_CALLS])
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise ModelRefused("the model's answer is not a chat completion") from error
    usage = answer.get("usage") or {}
    counted = RequestUsage(
        input_tokens=usage.get("prompt_tokens") or 0, output_tokens=usage.get("completion_tokens") or 0
    )
    return ModelResponse(parts=parts, usage=counted, model_name=model)


def _mapped(message: ModelMessage) -> Iterator[Message]:
    if isinstance(message, ModelResponse):
        yield _assistant(message)
        return
    if message.instructions:
        yield {"role": "system", "content": message.instructions}
    yield from _request(message)


def _request(message: ModelRequest) -> Iterator[Message]:
    for part in message.parts:
        if isinstance(part, SystemPromptPart):
            yield {"role": "system", "content": part.content}
        elif isinstance(part, UserPromptPart):
            yield {"role": "user", "content": str(part.content)}
        elif isinstance(part, ToolReturnPart):
            yield {"role": "tool", "tool_call_id": part.tool_call_id, "content": part.model_response_str()}
        elif isinstance(part, RetryPromptPart) and part.tool_name:
            yield {"role": "tool", "tool_call_id": part.tool_call_id, "content": part.model_response()}
        elif isinstance(part, RetryPromptPart):
            yield {"role": "user", "content": part.model_response()}


def _assistant(message: ModelResponse) -> Message:
    text = "".join(part.content for part in message.parts if isinstance(part, TextPart))
    mapped: Message = {"role": "assistant", "content": text or None}
    if calls := [part for part in message.parts if isinstance(part, ToolCallPart)]:
        mapped["tool_calls"] = [
            {
                "id": part.tool_call_id,
                "type": "function",
                "function": {"name": part.tool_name, "arguments": part.args_as_json_str()},
            }
            for part in calls
        ]
    return mapped


def _calls(calls: Sequence[dict[str, Any]]) -> Iterator[ToolCallPart]:
    """Tool calls, each with an id of its own: some engines give none, or one to all."""
    known: set[str] = set()
    for position, call in enumerate(calls):
        function, given = call["function"], call.get("id") or ""
        id_ = given if given and given not in known else f"call_{position}"
        known.add(id_)
        yield ToolCallPart(str(function["name"]), function.get("arguments") or "{}", tool_call_id=id_)


def _tool(tool: ToolDefinition) -> dict[str, Any]:
    function = {"name": tool.name, "description": tool.description or "", "parameters": tool.parameters_json_schema}
    return {"type": "function", "function": function}
