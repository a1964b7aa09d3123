"""What an address is: which engine if any, with which models, or why it can't be used."""

from dataclasses import dataclass, field

import aiohttp

from penstock_inference.adapters.local.asking import Reply, Unanswered, ask
from penstock_inference.domain.engine_kinds import Identity, Kind, Offer, in_order, is_loading
from penstock_inference.domain.local_models import Address

REFUSED = (401, 403)


@dataclass(frozen=True, slots=True)
class Sight:
    """What was seen at an address."""

    state: str
    reason: str
    kind: Kind | None = None
    version: str = ""
    offers: list[Offer] = field(default_factory=list)


async def inspect(session: aiohttp.ClientSession, address: Address) -> Sight:
    """What listens there; never raises for what it says."""
    root, locked = address.root, False
    try:
        for kind in in_order(address.port):
            reply = await ask(session, root + kind.identity)
            if is_loading(reply.status, reply.body):
                return Sight("loading", "llama.cpp is still reading its model; wait a little", kind)
            locked = locked or reply.status in REFUSED
            identity = kind.identify(reply.body) if reply.status == 200 else None
            if identity and (sight := await _listed(session, root, kind, identity)):
                return sight
    except Unanswered as error:
        return Sight(error.state, error.reason)
    if locked:
        return Sight("locked", _key_wanted("it", root))
    return Sight("stranger", "it answers, but is none of the engines that are known here")


async def _listed(session: aiohttp.ClientSession, root: str, kind: Kind, identity: Identity) -> Sight | None:
    """The engine with its models; None where the list shows that it is something else."""
    if identity.offers is not None:
        return _sight(kind, identity, list(identity.offers))
    reply = await ask(session, root + kind.listing)
    if reply.status in REFUSED:
        return Sight("locked", _key_wanted(kind.title, root), kind, identity.version)
    offers = _offers(kind, reply)
    return None if offers is None else _sight(kind, identity, offers)


def _offers(kind: Kind, reply: Reply) -> list[Offer] | None:
    return kind.offers(reply.body) if reply.status == 200 else None


def _sight(kind: Kind, identity: Identity, offers: list[Offer]) -> Sight:
    if not offers:
        return Sight("empty", f"{kind.title} runs but has no models; load one there", kind, identity.version)
    known = [Offer(o.id, o.context_tokens or identity.context_tokens, o.embeds) for o in offers]
    return Sight("serving", f"{kind.title} serves {len(known)} model(s)", kind, identity.version, known)


def _key_wanted(what: str, root: str) -> str:
    return (
        f"{what} wants a key; run: penstock models add NAME --engine openai-compatible --url {root}/v1 "
        "--api-key-env VARIABLE"
    )
