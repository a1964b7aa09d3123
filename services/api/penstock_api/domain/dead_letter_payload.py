"""A dead letter's payload: shown by its contract with sealed fields as sealed, and changed only to what fits it."""

import base64
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from penstock_api.domain.dead_letters import EditRefused
from penstock_common.contracts.base import Contract, Wire, decode, encode
from penstock_common.errors import ContractViolated
from penstock_common.messaging.topology import Topic

SHOWN_BYTES = 4096  # of a payload that nobody can read


@dataclass(frozen=True, slots=True)
class Shown:
    """A payload for people."""

    payload: Any
    """Sealed fields are `{"sealed": <bytes>}`; of what can't be read, `{"base64": …, "bytes": …}`."""
    problem: str = ""
    """Why it is not shown by its contract."""


def shown(body: bytes, contract: type[Contract] | None, wire: Wire) -> Shown:
    """What can be shown of a payload; text that is sealed stays so."""
    problem = "The topic is not known here any more."
    if contract is not None:
        try:
            return Shown(_plain(msgspec.to_builtins(decode(contract, body, wire), builtin_types=(bytes,))))
        except ContractViolated as error:
            problem = error.message
    try:
        return Shown(_plain(msgspec.to_builtins(_read(body, wire), builtin_types=(bytes,))), problem)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, TypeError):
        return Shown({"base64": base64.b64encode(body[:SHOWN_BYTES]).decode(), "bytes": len(body)}, problem)


def changed(body: bytes, patch: Mapping[str, Any] | None, payload: Mapping[str, Any] | None, topic: Topic) -> Contract:
    """The message after a merge patch (RFC 7396), or with another payload altogether.

    Raises EditRefused, whose sentence names the field.
    """
    if payload is not None:
        return _fitting(payload, payload, topic.contract)
    try:
        before = _read(body, topic.wire)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        before = None
    if not isinstance(before, dict):
        raise EditRefused("The payload can't be read, so that no field of it can be changed; give a whole payload.")
    return _fitting(merged(before, patch), patch or {}, topic.contract)


def merged(before: Any, patch: Any) -> Any:
    """RFC 7396: members of the patch replace, null removes, objects are merged."""
    if not isinstance(patch, Mapping):
        return patch
    result = dict(before) if isinstance(before, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result


def _fitting(payload: Any, changed: Mapping[str, Any], contract: type[Contract]) -> Contract:
    known = {item.name: item for item in msgspec.structs.fields(contract)}
    if unknown := sorted(changed.keys() - known.keys()):
        raise EditRefused(f"{contract.__name__} has no field {unknown[0]!r}; it has {', '.join(known)}.")
    if sealed := sorted(name for name in changed if _is_sealed(known[name].type)):
        raise EditRefused(f"`{sealed[0]}` is sealed: nobody can write it but the service that sent it.")
    try:
        made = msgspec.convert(payload, contract)
        encode(made)
    except (msgspec.MsgspecError, TypeError, ValueError, RecursionError) as error:
        raise EditRefused(f"The payload would not be {contract.__name__} any more: {error}") from error
    return made


def _read(body: bytes, wire: Wire) -> Any:
    return msgspec.json.decode(body) if wire is Wire.JSON else msgspec.msgpack.decode(body)


def _is_sealed(type_: Any) -> bool:
    """Whether a field holds bytes, or a part of it does."""
    return type_ is bytes or any(_is_sealed(argument) for argument in getattr(type_, "__args__", ()))


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"sealed": len(value)}
    if isinstance(value, dict):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
