"""What each process of a chaos run is told."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from penstock.platform.ports import LOOPBACK, free_ports
from penstock_api.domain.keys import digest_of
from tests.chaos.faults import BUS, ENGINE, POSTGRES, PROCESSES, cable
from tests.chaos.proxy import through
from tests.chaos.services import Role
from tests.support.api import ADMIN, USER

VERIFIED, PREFIXED, VECTORS = "chaos/verified", "chaos/prefixed", "chaos/vectors"
"""Models whose answers are taken over by verified regeneration, and by continuing what was delivered; an embedder."""
MODULES = {service: f"penstock_{service}" for service in PROCESSES}
PRICE = {"input": 0.4, "output": 1.2, "provider_input": 0.2, "provider_output": 0.6}
HERE = json.dumps(["127.0.0.0/8"])


@dataclass(frozen=True, slots=True)
class Wiring:
    """Where the servers are, and the cables on which they are reached."""

    bus: str
    databases: Mapping[str, str]
    """URLs by service."""
    cables: Mapping[str, int]
    """Ports by name."""


def roles(home: Path, wiring: Wiring, modules: Mapping[str, str]) -> Iterator[Role]:
    """Every process, in the order in which they are started."""
    (home / "models.yaml").write_text(_models(f"http://{LOOPBACK}:{wiring.cables[cable('inference', ENGINE)]}"))
    ports = iter(free_ports(sum(PROCESSES.values())))
    for service, count in PROCESSES.items():
        for number in range(count):
            name = f"{service}-{number}"
            settings = {
                "BUS__URL": through(wiring.bus, wiring.cables[cable(name, BUS)]),
                "DATABASE__URL": through(wiring.databases[service], wiring.cables[cable(name, POSTGRES)]),
            }
            yield Role(service, number, modules[service], settings | _settings(service, name, home), next(ports))


def _settings(service: str, name: str, home: Path) -> dict[str, str]:
    if service == "billing":
        return {}
    keyring, objects = {"KEYRING__PATH": str(home / "keyring")}, {"OBJECTS__PATH": str(home / "objects")}
    own: dict[str, dict[str, str]] = {
        "api": objects
        | {
            "BOOTSTRAP__USER_KEY_SHA256": digest_of(USER).hex(),
            "BOOTSTRAP__ADMIN_KEY_SHA256": digest_of(ADMIN).hex(),
            "WEBHOOKS__ALLOW": HERE,
        },
        "inference": {
            "SECRETS__PATH": str(home / "secrets"),
            "SIM__PATH": str(home / "sim"),
            "MODELS_FILE": str(home / "models.yaml"),
        },
        "worker": {"TOOLS__ALLOW": HERE},
        "scheduler": {},
        "indexer": objects | {"INDEX__PATH": str(home / f"index-{name}")},
    }
    return keyring | own[service]


def _models(engine: str) -> str:
    """The catalogue: the engine by three names."""
    common = {"url": f"{engine}/v1", "upstream_model": "chaos", "price": PRICE}
    models = [
        {"name": VERIFIED, "engine": "openai-compatible", **common},
        {"name": PREFIXED, "engine": "vllm", **common},
        {"name": VECTORS, "engine": "openai-compatible", "capabilities": ["embeddings"], **common},
    ]
    return yaml.safe_dump({"models": models})
