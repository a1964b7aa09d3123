"""Engines that people run beside the platform, and how each makes itself known: by its own endpoint, not by its port.

Sources: Ollama, "API" (GET /api/version, /api/tags); vLLM, `ModelCard` (owned_by, max_model_len) and GET /version;
llama.cpp, tools/server/README (GET /props, 503 while loading); LM Studio, "REST API v0"; TGI, router `Info`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import msgspec

VLLM_OWNER = "vllm"
EMBEDDERS = ("bert", "nomic-bert", "xlm-roberta")  # families of models that only embed


@dataclass(frozen=True, slots=True)
class Offer:
    """A model that an engine has."""

    id: str
    """What the engine calls it."""
    context_tokens: int = 0
    embeds: bool = False
    """It makes vectors, and can't chat."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What an engine says of itself."""

    version: str = ""
    offers: Sequence[Offer] | None = None
    """Its models, where it says them at once."""
    context_tokens: int = 0
    """Of each of its models, where it says so."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of engine."""

    name: str
    """In names of models and on the command line."""
    title: str
    dialect: str
    """The flavour of the OpenAI API that it speaks below `/v1`."""
    ports: tuple[int, ...]
    identity: str
    """The path by which it is recognised."""
    identify: Callable[[bytes], Identity | None]
    listing: str = ""
    """The path of its models, where the identity does not say them."""
    offers: Callable[[bytes], list[Offer] | None] = lambda _: None


class _Version(msgspec.Struct):
    version: str


class _Family(msgspec.Struct):
    family: str = ""


class _Tag(msgspec.Struct):
    name: str
    details: _Family = msgspec.field(default_factory=_Family)


class _Tags(msgspec.Struct):
    models: list[_Tag] | None


class _Card(msgspec.Struct):
    id: str
    owned_by: str = ""
    max_model_len: int | None = None


class _Cards(msgspec.Struct):
    data: list[_Card]


class _Defaults(msgspec.Struct):
    n_ctx: int = 0


class _Props(msgspec.Struct):
    default_generation_settings: _Defaults
    total_slots: int
    build_info: str = ""


class _StudioModel(msgspec.Struct):
    id: str
    type: str
    state: str
    max_context_length: int = 0


class _StudioModels(msgspec.Struct):
    data: list[_StudioModel]


class _Info(msgspec.Struct):
    model_id: str
    version: str
    max_concurrent_requests: int
    max_total_tokens: int = 0


class _Error(msgspec.Struct):
    message: str = ""


class _Refusal(msgspec.Struct):
    error: _Error


T = TypeVar("T")


def _read(kind: type[T], body: bytes) -> T | None:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _version(body: bytes) -> Identity | None:
    said = _read(_Version, body)
    return Identity(said.version) if said else None


def _ollama_models(body: bytes) -> list[Offer] | None:
    tags = _read(_Tags, body)
    return [Offer(tag.name, embeds=tag.details.family in EMBEDDERS) for tag in tags.models or ()] if tags else None


def _vllm_models(body: bytes) -> list[Offer] | None:
    cards = _read(_Cards, body)
    if cards is None or any(card.owned_by != VLLM_OWNER for card in cards.data):
        return None
    return [Offer(card.id, card.max_model_len or 0) for card in cards.data]


def _llamacpp(body: bytes) -> Identity | None:
    props = _read(_Props, body)
    return Identity(props.build_info, context_tokens=props.default_generation_settings.n_ctx) if props else None


def _any_models(body: bytes) -> list[Offer] | None:
    cards = _read(_Cards, body)
    return [Offer(card.id) for card in cards.data] if cards else None


def _lmstudio(body: bytes) -> Identity | None:
    models = _read(_StudioModels, body)
    if models is None:
        return None
    return Identity(offers=[Offer(m.id, m.max_context_length, m.type == "embeddings") for m in models.data])


def _tgi(body: bytes) -> Identity | None:
    info = _read(_Info, body)
    return Identity(info.version, [Offer(info.model_id, info.max_total_tokens)]) if info else None


OLLAMA = Kind("ollama", "Ollama", "ollama", (11434,), "/api/version", _version, "/api/tags", _ollama_models)
VLLM = Kind("vllm", "vLLM", "vllm", (8000,), "/version", _version, "/v1/models", _vllm_models)
LLAMACPP = Kind("llamacpp", "llama.cpp", "llamacpp", (8080,), "/props", _llamacpp, "/v1/models", _any_models)
LMSTUDIO = Kind("lmstudio", "LM Studio", "openai-compatible", (1234,), "/api/v0/models", _lmstudio)
TGI = Kind("tgi", "TGI", "tgi", (8080, 3000), "/info", _tgi)
KINDS = (OLLAMA, VLLM, LLAMACPP, LMSTUDIO, TGI)
USUAL_PORTS = tuple(dict.fromkeys(port for kind in KINDS for port in kind.ports))


def usual_at(port: int) -> list[Kind]:
    """The engines that usually listen on a port."""
    return [kind for kind in KINDS if port in kind.ports]


def in_order(port: int) -> list[Kind]:
    """All kinds, those first that usually listen on a port."""
    return sorted(KINDS, key=lambda kind: port not in kind.ports)


def is_loading(status: int, body: bytes) -> bool:
    """Whether llama.cpp says that its model is still being read."""
    refusal = _read(_Refusal, body) if status == 503 else None
    return refusal is not None and refusal.error.message == "Loading model"
