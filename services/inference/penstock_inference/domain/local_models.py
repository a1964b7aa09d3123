"""The models of engines that were found by looking, as registrations."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from penstock_common.contracts.catalogue import RegisterModel
from penstock_inference.domain.catalogue import Origin, Snapshot
from penstock_inference.domain.checks import NAME
from penstock_inference.domain.engine_kinds import Kind, Offer
from penstock_inference.domain.seeding import with_offered

MOST_MODELS = 200
LOCAL_HOSTS = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, slots=True)
class Address:
    """A place where an engine may listen."""

    host: str
    port: int
    own: bool = False
    """The platform itself listens there."""

    def __str__(self) -> str:
        return f"{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    @property
    def root(self) -> str:
        """The URL without a path."""
        return f"http://{self}"

    @property
    def url(self) -> str:
        """The base URL of an engine there."""
        return f"{self.root}/v1"


def addresses(hosts: Iterable[str], ports: Sequence[int], own_ports: Iterable[int]) -> list[Address]:
    """Every place to look at, each once."""
    own = set(own_ports)
    return [Address(host, port, port in own and host in LOCAL_HOSTS) for host in dict.fromkeys(hosts) for port in ports]


def name_of(offer: Offer, kind: Kind, address: Address) -> str:
    """What clients ask for: `ollama/llama3.2:1b`; the address is part of it where it is not the usual one."""
    usual = address.host in LOCAL_HOSTS and address.port == kind.ports[0]
    model = offer.id.rstrip("/").rpartition("/")[2] if offer.id.startswith("/") else offer.id  # a file's path
    return f"{kind.name if usual else f'{kind.name}@{address}'}/{model}"


def registrations(offers: Sequence[Offer], kind: Kind, address: Address) -> list[RegisterModel]:
    """One for each model that the catalogue can name, at most 200; nobody said what they cost."""
    named = {name_of(offer, kind, address): offer for offer in offers}
    return [
        RegisterModel(
            name=name,
            engine=kind.dialect,
            url=address.url,
            upstream_model=offer.id,
            context_tokens=max(0, offer.context_tokens),
            capabilities=["embeddings"] if offer.embeds else ["chat", "stream"],
        )
        for name, offer in named.items()
        if NAME.fullmatch(name)
    ][:MOST_MODELS]


def with_local(catalogue: Snapshot, commands: Sequence[RegisterModel], url: str, now: int) -> Snapshot:
    """With exactly the models of the engine at this address, but for those that somebody registered already."""
    taken = {m.upstream_model for m in catalogue.models.values() if m.url == url and m.origin is not Origin.LOCAL}
    free = [command for command in commands if command.upstream_model not in taken]
    return with_offered(catalogue, free, url, now, Origin.LOCAL)


def served_at(catalogue: Snapshot, url: str) -> list[str]:
    """The names under which models of an address are served."""
    return sorted(m.name for m in catalogue.models.values() if m.enabled and m.url == url)
