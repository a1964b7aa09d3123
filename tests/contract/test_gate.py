"""The gate: whatever any release said is handled by today's code, on real servers, as it was meant.

Golden samples are made from types, and some of their values mean nothing: those are refused, and a lifelike sample of
the same topic goes all the way.
"""

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, get_type_hints

import msgspec
import pytest

from penstock.platform.credentials import SERVICES
from penstock_common.contracts.base import Contract
from penstock_common.contracts.generation import GenerateText, GenerationCompleted
from penstock_common.contracts.runs import StartRun
from penstock_common.messaging.connect import apply_topology
from penstock_common.messaging.topology import DEAD_LETTERS
from penstock_common.topology import PLATFORM
from tests.contract.golden import SAID, samples_of
from tests.support.databases import Databases
from tests.support.gate import HANDLED, Gate, Passage, gate, lane_of, passages, registration_of, samples_for

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

RELEASED = Path(__file__).parents[2] / "docs" / "released"
REFUSED = {
    "cmd.inference.model.register.v1": "refused: ModelRefused: no such engine",
    "cmd.scheduler.schedule.save.v1": "refused: ImpossibleTiming: ",
    "cmd.inference.text.queue.v1": "refused: ContractViolated: priority ",
}
"""What is done with made-up values, by topic: an engine, a time zone, a priority that do not exist."""


def topic_of(name: str) -> str:
    """The topic of a sample, by the name of its passage."""
    return name.partition(".json")[0].rpartition(".")[0]


def is_right(name: str, verdict: str) -> bool:
    """Whether a sample is handled, or is made up."""
    return verdict == HANDLED or verdict.startswith(REFUSED.get(topic_of(name), "nothing"))


@pytest.fixture
async def services(platform_databases: Databases, nats_url: str, tmp_path: Path) -> AsyncIterator[Gate]:
    """The handlers of all services, given nothing yet."""
    await apply_topology(nats_url)
    async with gate(SERVICES, platform_databases, nats_url, tmp_path) as opened:
        yield opened


async def test_every_sample_of_every_release_is_handled(services: Gate) -> None:
    """By the handlers themselves, into the rows that the audit looks at; each topic all the way at least once."""
    found = {}
    for passage in passages(SERVICES):
        problems = await services.problems(passage)
        found[passage.name] = "; ".join(problem.partition(": ")[2] for problem in problems) or HANDLED
    assert {name: verdict for name, verdict in found.items() if not is_right(name, verdict)} == {}
    handled = {(topic_of(name), name.partition(" → ")[2]) for name, verdict in found.items() if verdict == HANDLED}
    assert handled == {(topic_of(name), name.partition(" → ")[2]) for name in found}


def test_every_consumer_passes_the_gate() -> None:
    """None without a sample; what each release declared has one."""
    given = {passage.lane.name for passage in passages(SERVICES)}
    declared = {c.name for c in PLATFORM.consumers if c.topic.stream != DEAD_LETTERS.name}
    assert declared <= given
    with_samples = {said.name for said in SAID if samples_of(said)}
    for path in RELEASED.glob("*/asyncapi.json"):
        addresses = {channel["address"] for channel in json.loads(path.read_text())["channels"].values()}
        assert {c.topic.subject for c in PLATFORM.consumers} & addresses <= with_samples, path


def broken_by(contract: type[Contract], drop: str = "", **fields: Any) -> type[Contract]:
    """A contract without a field, or with one that is new or of another type (and default)."""
    hints = get_type_hints(contract)
    kept: dict[str, Any] = {}
    for each in msgspec.structs.fields(contract):
        if each.name != drop:
            default = msgspec.field(default_factory=each.default_factory) if each.required is False else None
            if each.default is not msgspec.NODEFAULT:
                default = msgspec.field(default=each.default)
            kept[each.name] = (hints[each.name], default) if default is not None else (hints[each.name],)
    kept |= {name: value if isinstance(value, tuple) else (value,) for name, value in fields.items()}
    made = [(name, *rest) for name, rest in kept.items()]
    own = {name: value for name, value in vars(contract).items() if isinstance(value, property) or callable(value)}
    plain = {name: value for name, value in own.items() if not name.startswith("__")}
    changed: Any = msgspec.defstruct(
        contract.__name__,
        made,
        bases=(Contract,),
        namespace=plain | {"volatile": contract.volatile},
        frozen=True,
        kw_only=True,
        omit_defaults=True,
    )
    narrowed: type[Contract] = changed
    return narrowed


BREAKS: dict[str, tuple[str, type[Contract], Callable[[], type[Contract]], str]] = {
    "a new field is required": (
        "billing",
        GenerationCompleted,
        lambda: broken_by(GenerationCompleted, region=str),
        "required field `region`",
    ),
    "a field has another name": (
        "billing",
        GenerationCompleted,
        lambda: broken_by(GenerationCompleted, drop="tokens", counts=get_type_hints(GenerationCompleted)["tokens"]),
        "required field `counts`",
    ),
    "a field has another type": (
        "billing",
        GenerationCompleted,
        lambda: broken_by(GenerationCompleted, attempt=str),
        "`$.attempt`",
    ),
    "a field that the handler reads is gone": (
        "api",
        GenerationCompleted,
        lambda: broken_by(GenerationCompleted, drop="streamed"),
        "has no attribute 'streamed'",
    ),
    "a default means something else": (
        "api",
        GenerationCompleted,
        lambda: broken_by(GenerationCompleted, lane=(str, "batch")),
        "`$.lane` was 'interactive', is 'batch'",
    ),
    "a command takes less": ("worker", StartRun, lambda: broken_by(StartRun, task=int), "`$.task`"),
    "a packed command lost a field": (
        "inference",
        GenerateText,
        lambda: broken_by(GenerateText, drop="deadline"),
        "`$.deadline` is lost",
    ),
}


async def test_a_breaking_change_fails_with_the_fields_name(services: Gate) -> None:
    """Each kind of break, in a contract that is otherwise today's, at the real handler."""
    for name, (service, contract, broken, said) in BREAKS.items():
        lane = lane_of(service, contract)
        problems = []
        for sample in samples_for(contract):
            passage = Passage(sample, registration_of(lane), lane)
            assert await services.problems(passage) == []
            problems += await services.problems(passage, broken())
        assert any(said in problem and lane.name in problem for problem in problems), (name, problems)
