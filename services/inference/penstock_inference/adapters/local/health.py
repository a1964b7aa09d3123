"""Asks the engines of the catalogue whether they are there, take our key, and have what is served in their name."""

import asyncio
from collections.abc import Iterable
from itertools import groupby
from typing import Protocol

import aiohttp
import msgspec

from penstock_common.contracts.discovery import EngineHealth
from penstock_inference.adapters.discovery import Offers
from penstock_inference.adapters.local.asking import Reply, Unanswered, ask, make_session
from penstock_inference.domain.catalogue import Model

MOST_ENGINES = 50
REFUSED = (401, 403)
NO_LIST = (404, 405, 501)  # an engine need not say what it has


class Keys(Protocol):
    """Engines' keys by name."""

    def resolve(self, name: str) -> str | None:
        """The key; None where there is none."""


async def check_engines(models: Iterable[Model], keys: Keys) -> list[EngineHealth]:
    """One line for each engine with its key, at most 50; within two seconds."""
    external = sorted((m for m in models if m.enabled and m.url), key=_engine)
    engines = [list(group) for _, group in groupby(external, key=_engine)]
    async with make_session() as session:
        return await asyncio.gather(*(_check(session, engine, keys) for engine in engines[:MOST_ENGINES]))


def _engine(model: Model) -> tuple[str, str]:
    return model.url, model.secret


async def _check(session: aiohttp.ClientSession, models: list[Model], keys: Keys) -> EngineHealth:
    first = models[0]
    key = keys.resolve(first.secret) if first.secret else None
    if first.secret and not key:
        return _health(models, "key_missing", f"there is no key under the name {first.secret}")
    try:
        reply = await ask(session, f"{first.url}/models", {"Authorization": f"Bearer {key}"} if key else None)
    except Unanswered as error:
        return _health(models, "unreachable", error.reason)
    return _health(models, *_judged(reply, models, bool(key)))


def _judged(reply: Reply, models: list[Model], has_key: bool) -> tuple[str, str]:
    if reply.status in REFUSED:
        return "key_refused", f"it refused {'our key' if has_key else 'us without a key'} (HTTP {reply.status})"
    if reply.status in NO_LIST:
        return "ok", ""
    if reply.status != 200:
        return "failing", f"it answered HTTP {reply.status} when asked for its models"
    try:
        there = {offer.id for offer in msgspec.json.decode(reply.body, type=Offers).data}
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return "failing", "it did not answer with a list of models"
    missing = [model.upstream_model for model in models if model.upstream_model not in there]
    return ("model_missing", f"it does not have {', '.join(missing[:5])}") if missing else ("ok", "")


def _health(models: list[Model], state: str, reason: str) -> EngineHealth:
    first = models[0]
    names = [model.name for model in models]
    return EngineHealth(url=first.url, provider=first.provider, models=names, state=state, reason=reason)
