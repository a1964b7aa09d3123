"""What a start puts into the catalogue, and what it leaves alone."""

from pathlib import Path
from typing import Any

import pytest

from penstock_common.contracts.catalogue import RegisterModel
from penstock_inference.adapters.discovery import Discovery
from penstock_inference.adapters.models_file import ModelsFileInvalid, read_models_file
from penstock_inference.domain.catalogue import Origin, Snapshot, registered, removed
from penstock_inference.domain.errors import ModelRefused
from penstock_inference.domain.known_models import BUILTIN as MODELS
from penstock_inference.domain.known_models import DEEPSEEK, OPENAI, offered
from penstock_inference.domain.seeding import Seeds, seeded, with_offered

URL = "http://127.0.0.1:9/v1"
BUILTIN = {"sim/fast", "sim/slow", "sim/flaky", "local/all-minilm-l6-v2"}
EXAMPLE = Path(__file__).parents[3] / "services/inference/models.example.yaml"


def start(snapshot: Snapshot, **seeds: Any) -> Snapshot:
    """A start that found this."""
    return seeded(snapshot, Seeds(**seeds), now=100)


def names(snapshot: Snapshot) -> set[str]:
    """What is served."""
    return {model.name for model in snapshot.models.values() if model.enabled}


def test_a_first_start_serves_the_builtin_models() -> None:
    """At their documented price; a second start changes nothing."""
    snapshot = start(Snapshot())
    price = snapshot.models["sim/fast"].price
    assert names(snapshot) == BUILTIN
    assert (price.input_nano, price.output_nano, price.cached_input_nano) == (100_000, 200_000, 50_000)
    assert snapshot.models["local/all-minilm-l6-v2"].capabilities == ("embeddings",)
    assert start(snapshot) is snapshot


def test_an_operators_word_outlives_a_start() -> None:
    """A removed model stays away, a replaced one stays replaced."""
    snapshot = removed(start(Snapshot()), "sim/slow")
    snapshot = registered(snapshot, RegisterModel(name="sim/fast", engine="sim", input_nano=7), Origin.OPERATOR, 100)
    again = start(snapshot)
    assert again is snapshot
    assert names(again) == BUILTIN - {"sim/slow"}


def test_the_file_rules_while_it_says_so() -> None:
    """What it switches off is off, what it lists is there; once it is silent, both end."""
    listed = RegisterModel(name="llama", engine="vllm", url=URL)
    ruled = start(Snapshot(), listed=[listed], disabled=frozenset({"sim/slow"}))
    assert names(ruled) == {"llama", *BUILTIN} - {"sim/slow"}
    assert names(start(ruled)) == BUILTIN


def test_found_models_go_with_their_key() -> None:
    """And come back with it; unless an operator decided otherwise, or the file."""
    found = start(Snapshot(), found=DEEPSEEK)
    assert names(found) == BUILTIN | {"deepseek-chat", "deepseek-reasoner"}
    assert names(start(found)) == BUILTIN
    assert names(start(start(found), found=DEEPSEEK)) == names(found)
    decided = removed(found, "deepseek-chat")
    assert "deepseek-chat" not in names(start(decided, found=DEEPSEEK))
    assert "deepseek-chat" not in names(start(found, found=DEEPSEEK, disabled=frozenset({"deepseek-chat"})))


def test_an_engines_offers_replace_its_former_ones() -> None:
    """What it had stays until it answers; another's models are not touched."""
    first = with_offered(start(Snapshot()), [offered(n, URL, secret="") for n in ("a", "b")], URL, 100)
    assert names(start(first, asked=URL)) == BUILTIN | {"a", "b"}
    assert names(start(first)) == BUILTIN
    second = with_offered(first, [offered("b", URL, secret=""), offered("sim/fast", URL, secret="")], URL, 100)
    assert names(second) == BUILTIN | {"b"}
    assert second.models["sim/fast"].simulated


def test_an_offer_gives_way_to_an_alias() -> None:
    """A name in use is not taken away by what an engine happens to call its model."""
    snapshot = registered(
        Snapshot(), RegisterModel(name="a", engine="vllm", url=URL, aliases=["b"]), Origin.OPERATOR, 1
    )
    assert with_offered(snapshot, [offered("b", URL, secret="")], URL, 100) is snapshot


@pytest.mark.parametrize("command", [*MODELS, *OPENAI, *DEEPSEEK], ids=lambda command: command.name)
def test_known_models_can_be_registered(command: RegisterModel) -> None:
    """Each passes the checks; a provider's model costs us what it costs the customer."""
    model = registered(Snapshot(), command, Origin.ENVIRONMENT, 100).models[command.name]
    price = model.price
    if model.capabilities == ("embeddings",):
        assert price.input_nano > price.output_nano == 0
    else:
        assert price.cached_input_nano < price.input_nano < price.output_nano
    if model.url:
        assert (price.provider_input_nano, price.provider_output_nano) == (price.input_nano, price.output_nano)


ENVIRONMENTS: list[tuple[dict[str, str], bool, set[str], str]] = [
    ({}, True, set(), ""),
    ({"OPENAI_API_KEY": "k"}, True, {"gpt-4o", "gpt-4o-mini"}, ""),
    ({"OPENAI_API_KEY": "k"}, False, set(), ""),
    ({"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": "https://api.openai.com/v1/"}, True, {"gpt-4o"}, ""),
    ({"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": "http://127.0.0.1:9"}, True, set(), URL),
    ({"OPENAI_BASE_URL": URL}, False, set(), ""),
    ({"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": "http://169.254.169.254"}, True, set(), ""),
    ({"DEEPSEEK_API_KEY": "k"}, True, {"deepseek-chat", "deepseek-reasoner"}, ""),
]


def in_order(value: object) -> str:
    """A name for a case that is the same in every process: sets have no order."""
    return str(sorted(value) if isinstance(value, set) else value)


@pytest.mark.parametrize(("environment", "enabled", "found", "asked"), ENVIRONMENTS, ids=in_order)
def test_keys_are_found_in_the_environment(
    environment: dict[str, str], enabled: bool, found: set[str], asked: str
) -> None:
    """With discovery off nothing is; an own base URL is asked instead of taken for OpenAI."""
    discovery = Discovery(None, enabled, environment)
    served = names(discovery.seed()(Snapshot())) - BUILTIN
    assert found <= served
    assert bool(found) is bool(served)
    assert discovery.base_url == asked


def test_the_example_file_is_right() -> None:
    """The file that operators copy can be loaded, and its prices are exact."""
    llama, gpt = read_models_file(EXAMPLE).models
    assert (llama.input_nano, llama.cached_input_nano, llama.engine) == (600, 300, "vllm")
    assert (llama.take_over, gpt.take_over) == ("prefix", "")
    assert (gpt.input_nano, gpt.output_nano, gpt.provider_output_nano) == (2500, 10_000, 10_000)
    assert read_models_file(EXAMPLE).disabled == {"sim/flaky"}
    assert "llama" in Discovery(EXAMPLE).seed()(Snapshot()).names


WRONG = [
    "models: 5",
    "models: [{engine: vllm}]",
    "models: [{name: a, api_key: sk-1}]",
    "models: [{name: a, price: {input: -.inf}}]",
    "models: [{name: a, price: {input: 0.0001}}]",
    "models: [",
    "- just\n- a list",
    "models: !!python/object/apply:os.system ['true']",
]


@pytest.mark.parametrize("text", WRONG)
def test_a_wrong_file_is_named(text: str, tmp_path: Path) -> None:
    """The error says which file."""
    path = tmp_path / "models.yaml"
    path.write_text(text)
    with pytest.raises(ModelsFileInvalid, match=r"models\.yaml: "):
        read_models_file(path)


def test_a_file_with_an_impossible_model_stops_the_start(tmp_path: Path) -> None:
    """Its mistakes are the operator's to mend, not to be skipped in silence."""
    path = tmp_path / "models.yaml"
    path.write_text("models: [{name: a, url: 'ftp://x'}]")
    with pytest.raises(ModelRefused):
        Discovery(path).seed()(Snapshot())


def test_an_empty_file_is_fine(tmp_path: Path) -> None:
    """As is none."""
    path = tmp_path / "models.yaml"
    path.write_text("")
    assert read_models_file(path) == ([], frozenset())
    with pytest.raises(ModelsFileInvalid):
        read_models_file(tmp_path / "absent.yaml")
