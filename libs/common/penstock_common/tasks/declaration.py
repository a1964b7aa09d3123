"""What a declared task looks like: its JSON, as types."""

from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import Meta

STEPS = 50
NAME = r"^[a-z][a-z0-9_]{0,31}\Z"
TASK_NAME = r"[a-z0-9]([a-z0-9_.-]{0,62}[a-z0-9])?"

StepName = Annotated[str, Meta(pattern=NAME)]
Line = Annotated[str, Meta(min_length=1, max_length=2048)]
Text = Annotated[str, Meta(min_length=1, max_length=65_536)]
Expression = Annotated[str, Meta(max_length=500)]
Seconds = Annotated[float, Meta(gt=0, le=3600)]
Secret = Annotated[str, Meta(pattern=r"^whsec_[A-Za-z0-9+/]{32,88}={0,2}\Z")]
Status = Annotated[int, Meta(ge=100, le=599)]


class Declared(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Part of a declaration. Texts are templates, except those named here."""

    plain: ClassVar[frozenset[str]] = frozenset()
    """Fields that are taken as they stand."""


class Step(Declared, frozen=True, kw_only=True, omit_defaults=True, tag_field="kind"):
    """One step of a task."""

    plain: ClassVar[frozenset[str]] = frozenset({"name", "when", "on_error"})

    name: StepName
    when: Expression = ""
    """The step runs only where this holds."""
    on_error: Literal["fail", "continue"] = "fail"
    timeout: Seconds = 300.0
    """For the step with all of its retries, in seconds."""
    retries: Annotated[int, Meta(ge=0, le=10)] = 0
    """Further attempts after a failure that may pass."""


class Message(Declared, frozen=True, kw_only=True, omit_defaults=True):
    """One message to a model."""

    plain: ClassVar[frozenset[str]] = frozenset({"role"})

    role: Literal["system", "user", "assistant"]
    content: Text


class ModelStep(Step, frozen=True, kw_only=True, omit_defaults=True, tag="model"):
    """Ask a model. Gives `text`, and `json` where `response_format` asks for it."""

    model: Line
    messages: Annotated[list[Message], Meta(min_length=1, max_length=100)]
    response_format: dict[str, Any] | None = None
    max_tokens: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None


class HttpStep(Step, frozen=True, kw_only=True, omit_defaults=True, tag="http"):
    """Call an HTTP tool. Gives `status`, `headers`, `text`, `seconds`, and `json` where the answer is JSON."""

    plain: ClassVar[frozenset[str]] = Step.plain | {"method", "expect"}

    url: Line
    method: Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"] = "GET"
    headers: Annotated[dict[Annotated[str, Meta(max_length=128)], Line], Meta(max_length=50)] = {}
    body: Any = None
    """Sent as JSON; a text is sent as it is."""
    expect: list[Status] | Literal["any"] = []
    """Statuses that are no failure; by default those below 400."""
    timeout: Seconds = 30.0


class SearchStep(Step, frozen=True, kw_only=True, omit_defaults=True, tag="search"):
    """Search a knowledge base. Gives `chunks`, the best first."""

    base: Line
    """Its id or its name."""
    text: Text
    limit: Annotated[int, Meta(ge=1, le=50)] = 8
    timeout: Seconds = 30.0


class WebhookStep(Step, frozen=True, kw_only=True, omit_defaults=True, tag="webhook"):
    """Post to a URL, signed as Standard Webhooks has it. Gives `status`."""

    plain: ClassVar[frozenset[str]] = Step.plain | {"secret"}

    url: Line
    secret: Secret
    """`whsec_` and 24 to 64 bytes in Base64."""
    type: Line
    """What happened, such as `probe.failed`."""
    data: Any = None
    retries: Annotated[int, Meta(ge=0, le=10)] = 5
    timeout: Seconds = 120.0


class RunStep(Step, frozen=True, kw_only=True, omit_defaults=True, tag="run"):
    """Run another task. Gives `run_id`, and its `output` where it is waited for."""

    task: Line
    input: Any = None
    wait: bool = True


class StateStep(Step, frozen=True, kw_only=True, omit_defaults=True, tag="state"):
    """Change what is remembered from run to run under a key. Gives it `before` and `after`, both as objects."""

    key: Annotated[str, Meta(min_length=1, max_length=512)]
    set: Annotated[dict[str, Any], Meta(max_length=32)] = {}
    add: Annotated[dict[str, float | int], Meta(max_length=32)] = {}
    """Numbers to add to fields; a field that is not there counts as 0."""


class Tool(Declared, frozen=True, kw_only=True, omit_defaults=True, tag_field="kind"):
    """What an agent may call. The model chooses the arguments, never the address."""

    plain: ClassVar[frozenset[str]] = frozenset({"name", "parameters"})

    name: StepName
    description: Annotated[str, Meta(min_length=1, max_length=4096)]


class HttpTool(Tool, frozen=True, kw_only=True, omit_defaults=True, tag="http"):
    """Call an HTTP tool. An argument named in the URL as `{name}` goes there; the others into the query or the body."""

    plain: ClassVar[frozenset[str]] = Tool.plain | {"method"}

    url: Line
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "GET"
    headers: Annotated[dict[Annotated[str, Meta(max_length=128)], Line], Meta(max_length=50)] = {}
    parameters: dict[str, Any] = {}
    """JSON Schema of the arguments: an object."""
    timeout: Seconds = 30.0


class SearchTool(Tool, frozen=True, kw_only=True, omit_defaults=True, tag="search"):
    """Search a knowledge base for the text that the model asks for."""

    base: Line
    limit: Annotated[int, Meta(ge=1, le=20)] = 5


class Specialist(Declared, frozen=True, kw_only=True, omit_defaults=True):
    """An agent that a supervisor may hand a request to."""

    plain: ClassVar[frozenset[str]] = frozenset({"name"})

    name: StepName
    description: Annotated[str, Meta(min_length=1, max_length=4096)]
    """What it is for: this is what the supervisor chooses by."""
    instructions: Annotated[str, Meta(max_length=65_536)] = ""
    model: Annotated[str, Meta(max_length=2048)] = ""
    """By default the supervisor's."""
    tools: Annotated[list[HttpTool | SearchTool], Meta(max_length=32)] = []


class AgentStep(Step, frozen=True, kw_only=True, omit_defaults=True, tag="agent"):
    """Let an agent work: a model that calls tools, or hands on to specialists, until it has an answer.

    Gives `text`, or `json` where `answer` asks for an object; `turns`, `tokens`, and `specialists`, those it asked.
    """

    plain: ClassVar[frozenset[str]] = Step.plain | {"answer"}

    model: Line
    prompt: Text
    instructions: Annotated[str, Meta(max_length=65_536)] = ""
    tools: Annotated[list[HttpTool | SearchTool], Meta(max_length=32)] = []
    specialists: Annotated[list[Specialist], Meta(max_length=16)] = []
    turns: Annotated[int, Meta(ge=1, le=50)] = 12
    """Model calls in all, those of specialists included."""
    answer: dict[str, Any] | None = None
    """JSON Schema of the answer: an object."""


AnyStep = ModelStep | HttpStep | SearchStep | WebhookStep | RunStep | StateStep | AgentStep
KINDS = ("model", "http", "search", "webhook", "run", "state", "agent")


class Task(Declared, frozen=True, kw_only=True, omit_defaults=True):
    """A declared task."""

    steps: Annotated[list[AnyStep], Meta(min_length=1, max_length=STEPS)]
    description: Annotated[str, Meta(max_length=2000)] = ""
    output: Any = None
    """A template; by default the output of the last step that ran."""
