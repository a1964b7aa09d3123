"""What the catalogue holds from the start, without ever overruling an operator."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from penstock_common.contracts.catalogue import RegisterModel
from penstock_inference.domain.catalogue import Model, Origin, Snapshot, registered, removed
from penstock_inference.domain.errors import ModelRefused
from penstock_inference.domain.known_models import BUILTIN


@dataclass(frozen=True, slots=True)
class Seeds:
    """What a start found."""

    listed: Sequence[RegisterModel] = ()
    """Models of the operator's file: they replace what is known."""
    disabled: frozenset[str] = frozenset()
    """Names that the file switches off."""
    found: Sequence[RegisterModel] = ()
    """Models of providers whose key is there."""
    asked: str = ""
    """The engine that is still to be asked for its models; those it had stay until it answers."""
    watched: frozenset[str] = frozenset()
    """The addresses where engines are looked for; models found there stay while their engine is away."""


def seeded(catalogue: Snapshot, seeds: Seeds, now: int) -> Snapshot:
    """The catalogue after a start; the same one where nothing changed. Raises ModelRefused for the file's mistakes."""
    catalogue = without_unlisted(catalogue, seeds)
    for name in sorted(seeds.disabled):
        catalogue = removed(catalogue, name, Origin.FILE)
    for command in seeds.listed:
        catalogue = registered(catalogue, command, Origin.FILE, now)
    for command in BUILTIN:
        if command.name not in seeds.disabled:
            catalogue = offered_by(catalogue, command, Origin.BUILTIN, now)
    return with_found(catalogue, seeds, now)


def without_unlisted(catalogue: Snapshot, seeds: Seeds) -> Snapshot:
    """Without what an earlier file listed; what it switched off may be found again."""
    listed = {command.name for command in seeds.listed} | seeds.disabled
    builtin = {command.name for command in BUILTIN}
    for model in list(catalogue.models.values()):
        if model.origin is Origin.FILE and model.name not in listed:
            origin = Origin.BUILTIN if model.name in builtin else Origin.ENVIRONMENT
            catalogue = catalogue.changed(msgspec.structs.replace(model, enabled=False, origin=origin))
    return catalogue


def with_found(catalogue: Snapshot, seeds: Seeds, now: int) -> Snapshot:
    """With the models whose key was found, without those whose key is gone or whose address nobody looks at."""
    wanted = {command.name for command in seeds.found} - seeds.disabled
    for model in list(catalogue.models.values()):
        if model.origin is Origin.ENVIRONMENT and model.name not in wanted and not is_of(model, seeds.asked):
            catalogue = removed(catalogue, model.name, Origin.ENVIRONMENT)
        if model.origin is Origin.LOCAL and model.url not in seeds.watched:
            catalogue = removed(catalogue, model.name, Origin.LOCAL)
    for command in seeds.found:
        if command.name in wanted:
            catalogue = offered_by(catalogue, command, Origin.ENVIRONMENT, now)
    return catalogue


def with_offered(
    catalogue: Snapshot,
    commands: Sequence[RegisterModel],
    url: str,
    now: int,
    origin: Origin = Origin.ENVIRONMENT,
) -> Snapshot:
    """With exactly the models that the engine at this address offers."""
    names = {command.name for command in commands}
    for model in list(catalogue.models.values()):
        if model.origin is origin and is_of(model, url) and model.name not in names:
            catalogue = removed(catalogue, model.name, origin)
    for command in commands:
        catalogue = offered_by(catalogue, command, origin, now)
    return catalogue


def offered_by(catalogue: Snapshot, command: RegisterModel, origin: Origin, now: int) -> Snapshot:
    """With a model that nobody asked for by name: it gives way to what an operator or the file decided."""
    known = catalogue.models.get(command.name)
    if known and known.origin is not origin:
        return catalogue
    try:
        return registered(catalogue, command, origin, now)
    except ModelRefused:  # its name is an alias of another model
        return catalogue


def is_of(model: Model, url: str) -> bool:
    """Whether a model runs at this address."""
    return bool(url) and model.url == url
