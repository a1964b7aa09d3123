"""What may be in the catalogue, and how prices get their versions."""

from typing import Any

import msgspec
import pytest

from penstock_common.contracts.catalogue import RegisterModel
from penstock_inference.domain.catalogue import Origin, Snapshot, registered, removed
from penstock_inference.domain.errors import ModelRefused

URL = "http://127.0.0.1:8000/v1"


def a_command(name: str = "llama", **given: Any) -> RegisterModel:
    """A registration."""
    return RegisterModel(name=name, **{"engine": "openai-compatible", "url": URL, **given})


def put(snapshot: Snapshot, command: RegisterModel, now: int = 100) -> Snapshot:
    """A catalogue with this registration."""
    return registered(snapshot, command, Origin.OPERATOR, now)


def test_a_model_is_found_by_name_and_alias() -> None:
    """And by nothing else; a removed one by neither, but its row stays."""
    snapshot = put(Snapshot(), a_command(aliases=["l", "meta/llama"], upstream_model="Llama-3"))
    assert snapshot.resolve("l") is snapshot.resolve("meta/llama") is snapshot.resolve("llama")
    assert snapshot.resolve("Llama-3") is None
    gone = removed(snapshot, "llama")
    assert (gone.resolve("llama"), gone.resolve("l"), gone.published().models) == (None, None, [])
    assert gone.models["llama"].price == snapshot.models["llama"].price


def test_the_builtin_embedding_model_can_have_another_name() -> None:
    """It needs no address; other models its engine has none."""
    command = a_command("embed", engine="local", url="", upstream_model="all-minilm-l6-v2")
    model = put(Snapshot(), command).models["embed"]
    assert (model.engine, model.url, model.provider, model.simulated) == ("local", "", "local", False)
    with pytest.raises(ModelRefused, match="all-minilm-l6-v2"):
        put(Snapshot(), a_command("embed", engine="local", url=""))


def test_registering_again_changes_nothing() -> None:
    """The same command twice gives the very same catalogue: nothing is written and nobody is told."""
    once = put(Snapshot(), a_command(input_nano=5))
    assert put(once, a_command(input_nano=5), now=200) is once
    assert removed(once, "absent") is once
    assert removed(removed(once, "llama"), "llama") == removed(once, "llama")


def test_a_price_version_belongs_to_its_numbers() -> None:
    """Only other numbers make a new version, and no version comes twice, not even for another model."""
    snapshot = put(put(Snapshot(), a_command("a", input_nano=5)), a_command("b", input_nano=5))
    assert [snapshot.models[name].price.version for name in "ab"] == [1, 2]
    renamed = put(snapshot, a_command("a", input_nano=5, aliases=["x"]))
    assert renamed.models["a"].price.version == 1
    dearer = put(renamed, a_command("a", input_nano=6))
    back = put(dearer, a_command("a", input_nano=5))
    assert [s.models["a"].price.version for s in (dearer, back)] == [3, 4]
    again = put(removed(back, "a"), a_command("a", input_nano=7))
    assert again.models["a"].price.version == 5


def test_a_model_keeps_its_age() -> None:
    """`created` is the first registration, through removal and return."""
    snapshot = removed(put(Snapshot(), a_command(), now=100), "llama")
    assert put(snapshot, a_command(context_tokens=5), now=900).models["llama"].created == 100


@pytest.mark.parametrize(("given", "cached"), [(None, 2), (0, 0), (9, 9)])
def test_cached_tokens_cost_half_unless_said(given: int | None, cached: int) -> None:
    """Rounded down, in nano units."""
    command = a_command(input_nano=5, cached_input_nano=given)
    assert put(Snapshot(), command).models["llama"].price.cached_input_nano == cached


def test_names_belong_to_one_model() -> None:
    """A name or alias in use is refused, with the name of its holder."""
    snapshot = put(Snapshot(), a_command(aliases=["l"]))
    for command in (a_command("l"), a_command("b", aliases=["llama"]), a_command("b", aliases=["l"])):
        with pytest.raises(ModelRefused, match="belongs to the model llama"):
            put(snapshot, command)
    assert put(removed(snapshot, "llama"), a_command("l")).resolve("l")


def test_others_learn_no_address_and_no_key() -> None:
    """What is published holds neither."""
    snapshot = put(Snapshot(7), a_command(secret="LLAMA_KEY", upstream_model="hidden"))
    published = msgspec.json.encode(snapshot.published())
    assert snapshot.published().version == 7
    assert not [word for word in (b"127.0.0.1", b"LLAMA_KEY", b"hidden") if word in published]


REFUSED: list[dict[str, Any]] = [
    {"name": ""},
    {"name": "x" * 129},
    {"name": "two words"},
    {"name": 'quo"te'},
    {"name": "ünicode"},
    {"name": "new\n"},
    {"aliases": ["fine", "not fine"]},
    {"aliases": ["a"] * 33},
    {"engine": "magic"},
    {"engine": "sim", "name": "sim/huge"},
    {"upstream_model": "a\nb"},
    {"secret": "../../etc/passwd"},
    {"secret": "sk-abc"},
    {"capabilities": ["Chat!"]},
    {"context_tokens": -1},
    {"currency": "usd"},
    {"currency": "EURO"},
    {"input_nano": -1},
    {"output_nano": 10**13},
    {"cached_input_nano": -1},
    {"url": ""},
    {"url": "ftp://host/v1"},
    {"url": "file:///etc/passwd"},
    {"url": "http:///v1"},
    {"url": "http://user:password@host/v1"},
    {"url": "http://host:99999/v1"},
    {"url": "http://host/v1?key=1"},
    {"url": "http://host/v1#x"},
    {"url": "http://ho st/v1"},
    {"url": "http://[::1/v1"},
    {"url": "http://host/" + "x" * 3000},
    {"url": "http://169.254.169.254/v1"},
    {"url": "http://169.254.0.1:80/v1"},
    {"url": "http://[fe80::1]/v1"},
    {"url": "http://[::ffff:169.254.169.254]/v1"},
    {"url": "http://[fd00:ec2::254]/v1"},
    {"url": "http://metadata.google.internal./v1"},
]


@pytest.mark.parametrize("given", REFUSED, ids=str)
def test_what_cant_be_served_is_refused(given: dict[str, Any]) -> None:
    """With a sentence that says why."""
    with pytest.raises(ModelRefused) as raised:
        put(Snapshot(), a_command(**given))
    assert len(raised.value.message) > 20


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000/v1"),
        ("http://127.0.0.1:8000/", "http://127.0.0.1:8000/v1"),
        ("https://host/v1/", "https://host/v1"),
        ("https://host/v1/chat/completions", "https://host/v1"),
        ("https://host/openai/v2", "https://host/openai/v2"),
        ("http://10.0.0.5/v1", "http://10.0.0.5/v1"),
        ("http://[::1]:9/v1", "http://[::1]:9/v1"),
        ("HTTP://engine.svc.cluster.local/v1", "http://engine.svc.cluster.local/v1"),
    ],
)
def test_addresses_have_one_spelling(given: str, url: str) -> None:
    """Engines live on loopback and private addresses, and operators paste what they have."""
    assert put(Snapshot(), a_command(url=given)).models["llama"].url == url


@pytest.mark.parametrize(
    ("engine", "url", "provider"),
    [("openai-compatible", "https://api.openai.com", "openai"), ("vllm", URL, "vllm"), ("sim", "", "sim")],
)
def test_the_provider_is_known(engine: str, url: str, provider: str) -> None:
    """By the dialect, or by being simulated."""
    model = put(Snapshot(), a_command("sim/fast", engine=engine, url=url)).models["sim/fast"]
    assert (model.provider, model.published().simulated) == (provider, engine == "sim")


USUAL = [
    ({"engine": "vllm"}, "prefix"),
    ({"engine": "llamacpp"}, "prefix"),
    ({"engine": "sim", "name": "sim/fast", "url": ""}, "prefix"),
    ({"engine": "deepseek", "url": "https://api.deepseek.com/beta"}, "prefix"),
    ({"engine": "deepseek", "url": "https://api.deepseek.com/v1"}, "verify"),
    ({"url": "https://api.anthropic.com/v1"}, "verify"),
    ({"engine": "openai"}, "verify"),
    ({"engine": "vllm", "take_over": "fail"}, "fail"),
    ({"engine": "anthropic", "take_over": "prefix"}, "prefix"),
    ({"take_over": "verify"}, "verify"),
]


@pytest.mark.parametrize(("given", "policy"), USUAL)
def test_a_take_over_goes_as_it_suits_the_engine(given: dict[str, Any], policy: str) -> None:
    """Unless its operator says it; everybody may know which."""
    (model,) = put(Snapshot(), a_command(**given)).models.values()
    assert (model.policy, model.published().take_over) == (policy, policy)
    assert model.take_over == given.get("take_over", "")


IMPOSSIBLE = [
    ({"take_over": "hope"}, "prefix, verify, fail"),
    ({"take_over": "prefix"}, "vllm"),
    ({"engine": "openai", "take_over": "prefix"}, "can't continue"),
    ({"engine": "deepseek", "url": "https://api.deepseek.com/v1", "take_over": "prefix"}, "/beta"),
]


@pytest.mark.parametrize(("given", "words"), IMPOSSIBLE)
def test_an_engine_goes_no_way_that_it_does_not_know(given: dict[str, Any], words: str) -> None:
    """The refusal says which engines can, or where."""
    with pytest.raises(ModelRefused, match=words):
        put(Snapshot(), a_command(**given))
