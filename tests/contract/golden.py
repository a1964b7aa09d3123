"""Golden samples: what was ever said under a released name, and what it was understood to mean."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from penstock_common.contracts.base import Contract, Wire, decode, encode
from penstock_common.errors import ContractViolated
from penstock_common.messaging.topology import Topology
from penstock_common.topology import PLATFORM

FOLDER = Path(__file__).parent / "golden"


@dataclass(frozen=True)
class Said:
    """A contract under the name by which it travels; an answer under its question's name and `.reply`."""

    name: str
    contract: type[Contract]
    wire: Wire


@dataclass(frozen=True)
class Sample:
    """One golden file: the message as sent, its fingerprint, and its meaning with all defaults spelled out."""

    path: Path
    said: Said
    sent: dict[str, Any]
    fingerprint: str
    meaning: dict[str, Any]
    msgpack: str = ""

    @property
    def body(self) -> bytes:
        """The message as it was on the bus."""
        return bytes.fromhex(self.msgpack) if self.msgpack else json.dumps(self.sent).encode()


def said_on(topology: Topology) -> Iterator[Said]:
    """Everything that is said on a platform's bus, frames apart."""
    for topic in topology.topics:
        yield Said(topic.subject, topic.contract, topic.wire)
        if topic.reply:
            yield Said(f"{topic.subject}.reply", topic.reply, Wire.JSON)


SAID = tuple(said_on(PLATFORM))


def samples_of(said: Said, folder: Path = FOLDER) -> list[Sample]:
    """The golden files of one name, oldest first."""
    pattern = f"{said.name}.[0-9]*.json"
    paths = sorted(folder.glob(pattern), key=lambda path: int(path.suffixes[-2][1:]))
    return [Sample(path, said, **json.loads(path.read_text())) for path in paths]


def broken(sample: Sample) -> list[str]:
    """How today's contract differs from what was released: one line a field."""
    contract = sample.said.contract
    try:
        understood = decode(contract, sample.body, sample.said.wire)
        from_json = decode(contract, json.dumps(sample.sent).encode())
    except ContractViolated as error:
        return [str(error)]
    problems = list(differences(sample.sent, json.loads(encode(from_json)), "$"))
    problems += differences(sample.meaning, spelled(understood), "$")
    if understood.fingerprint() != sample.fingerprint:
        problems.append("the fingerprint differs: a redelivery across the upgrade would be quarantined")
    return [f"{contract.__name__}: {problem}" for problem in dict.fromkeys(problems)]


def differences(released: Any, today: Any, path: str) -> Iterator[str]:
    """What `released` holds and `today` lacks or has otherwise; what is new is no difference."""
    if isinstance(released, dict) and isinstance(today, dict):
        for key, value in released.items():
            if key in today:
                yield from differences(value, today[key], f"{path}.{key}")
            else:
                yield f"`{path}.{key}` is lost"
    elif isinstance(released, list) and isinstance(today, list) and len(released) == len(today):
        for position, value in enumerate(released):
            yield from differences(value, today[position], f"{path}[{position}]")
    elif released != today:
        yield f"`{path}` was {released!r}, is {today!r}"


def spelled(value: Any) -> Any:
    """A message as JSON values, fields at their default included."""
    if isinstance(value, msgspec.Struct):
        return {name: spelled(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, list):
        return [spelled(item) for item in value]
    if isinstance(value, dict):
        return {key: spelled(item) for key, item in value.items()}
    return msgspec.to_builtins(value)


def described(message: Contract, wire: Wire) -> dict[str, Any]:
    """The content of a golden file."""
    content = {
        "sent": json.loads(encode(message)),
        "fingerprint": message.fingerprint(),
        "meaning": spelled(message),
    }
    return content | ({"msgpack": encode(message, wire).hex()} if wire is Wire.MSGPACK else {})
