"""Asks a model, once."""

from typing import Any

import msgspec

from penstock_common.tasks.declaration import ModelStep
from penstock_worker.domain.errors import AnswerNotJson, ModelRefused
from penstock_worker.ports import Journal, StepContext

OPTIONS = ("response_format", "max_tokens", "temperature")


class ModelRunner:
    """Gives `text`, `model`, `request_id`, `tokens`; `json` where the step asks for JSON."""

    async def run(self, step: ModelStep, context: StepContext, journal: Journal) -> Any:
        """Ask. Raises ModelRefused, ModelUnavailable, AnswerNotJson, BusUnavailable."""
        body: dict[str, Any] = {"messages": [{"role": m.role, "content": m.content} for m in step.messages]}
        body |= {name: value for name in OPTIONS if (value := getattr(step, name)) is not None}
        answer = await journal.ask(context.call, step.model, body, context.seconds)
        return shaped(answer, step, str(context.call.request_id))


def shaped(answer: dict[str, Any], step: ModelStep, request_id: str) -> dict[str, Any]:
    """The step's output from OpenAI's chat completion. Raises ModelRefused, AnswerNotJson."""
    try:
        text = answer["choices"][0]["message"]["content"]
    except (KeyError, IndexError, TypeError) as error:
        raise ModelRefused("the model's answer is not a chat completion") from error
    if not isinstance(text, str):
        raise ModelRefused("the model answered without text")
    output: dict[str, Any] = {"text": text, "model": step.model, "request_id": request_id}
    output["tokens"] = answer.get("usage") or {}
    if (step.response_format or {}).get("type") in ("json_object", "json_schema"):
        output["json"] = _parsed(text)
    return output


def _parsed(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise AnswerNotJson from error
