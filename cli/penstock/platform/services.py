"""The services as programs of this machine."""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from penstock.platform.credentials import SERVICES, Credentials, digest
from penstock.platform.folder import DataFolder
from penstock.platform.ports import LOOPBACK
from penstock.platform.program import Program, plain_environment
from penstock.platform.slots import Slot
from penstock.platform.zygote import FIRST_FD

LATER = ("penstock_common.service", "sqlalchemy.dialects.postgresql.asyncpg", "uvicorn.protocols.http.httptools_impl")
"""What every service loads once it runs."""
DRAIN_SECONDS = 120.0
"""What a process whose successor serves already gives to what it has begun."""
ARCHIVE = "PENSTOCK_ARCHIVE__"
OTLP_HEADERS = "OTEL_EXPORTER_OTLP_HEADERS"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """What the services are told: addresses, folders, keys."""

    folder: DataFolder
    bus: str
    databases: Mapping[str, str]
    """URL by service."""
    public_port: int
    """Where api is asked."""
    credentials: Credentials
    discover: bool
    log_format: str
    otlp: str | None
    """Where spans go."""
    archive: str = ""
    """URL of the storage where events are archived; empty for a folder of the data folder."""
    tools: Sequence[str] = ()
    """Hosts and networks inside that tasks and the webhooks of requests may call."""

    @property
    def archive_url(self) -> str:
        """Where events are archived."""
        return self.archive or str(self.folder.archive)

    def program(self, slot: Slot, ready_fd: int, *, others_serve: bool = False, relay: bool = True) -> Program:
        """The command line and environment of one process, which says on `ready_fd` when it is ready.

        Where others serve it takes no request before that; without `relay` they publish what its outbox holds.
        """
        service, sockets = slot.service, slot.sockets()
        settings = self._common(service, slot.port) | getattr(self, f"_{service}")()
        settings |= {"READY_FD": str(FIRST_FD + len(sockets)), "DRAIN_GRACE": str(DRAIN_SECONDS)}
        settings["HTTP__WHEN_READY"] = str(others_serve or slot.shared is not None)
        settings["RELAY"] = str(relay)
        if slot.shared:
            settings["HTTP__OWN_FD"] = str(FIRST_FD + 1)
        # Only inference talks to engines, so only it sees their keys and the proxies on the way to them.
        inherited = dict(os.environ) if service == "inference" else plain_environment() | self._storage_account()
        prefix = f"PENSTOCK_{service.upper()}_"
        return Program(
            name=slot.name,
            argv=(sys.executable, "-m", f"penstock_{service}"),
            inherited=(*(each.fileno() for each in sockets), ready_fd),
            env=inherited | {"PYTHONUNBUFFERED": "1"} | {f"{prefix}{name}": value for name, value in settings.items()},
            cwd=self.folder.root,
        )

    def _common(self, service: str, port: int) -> dict[str, str]:
        return {
            "BUS__URL": self.bus,
            "DATABASE__URL": self.databases[service],
            "HTTP__HOST": LOOPBACK,
            "HTTP__PORT": str(port),
            "HTTP__FD": str(FIRST_FD),
            "LOG__FORMAT": self.log_format,
            **self._archiving(),
            **self._traces(),
        }

    def _traces(self) -> dict[str, str]:
        if self.otlp is None:
            return {}
        headers = os.environ.get(OTLP_HEADERS)  # often a key: not for the command line
        return {"TRACES__ENDPOINT": self.otlp} | ({"TRACES__HEADERS": headers} if headers else {})

    def _archiving(self) -> dict[str, str]:
        """The same for every service, as the environment has it: PENSTOCK_ARCHIVE__HOT_DAYS and others."""
        named = {
            name.removeprefix("PENSTOCK_"): value for name, value in os.environ.items() if name.startswith(ARCHIVE)
        }
        return named | {"ARCHIVE__URL": self.archive_url}

    def _storage_account(self) -> dict[str, str]:
        """What the storage's client reads by itself; it is in no setting, so that nothing prints it."""
        return {name: value for name, value in os.environ.items() if self.archive and name.startswith("AWS_")}

    def _keyring(self) -> dict[str, str]:
        return {"KEYRING__PATH": str(self.folder.root / "keyring")}

    def _objects(self) -> dict[str, str]:
        return {"OBJECTS__PATH": str(self.folder.root / "objects")}

    def _api(self) -> dict[str, str]:
        return {
            **self._keyring(),
            **self._objects(),
            "WEBHOOKS__ALLOW": json.dumps(list(self.tools)),
            "BOOTSTRAP__USER_KEY_SHA256": digest(self.credentials.api_key),
            "BOOTSTRAP__ADMIN_KEY_SHA256": digest(self.credentials.admin_key),
        }

    def _inference(self) -> dict[str, str]:
        settings = {
            **self._keyring(),
            "SECRETS__PATH": str(self.folder.root / "secrets"),
            "SIM__PATH": str(self.folder.root / "sim"),
            "DISCOVER": str(self.discover).lower(),
            "LOOK__OWN_PORTS": f"[{self.public_port}]",
        }
        if self.folder.models.exists():
            settings["MODELS_FILE"] = str(self.folder.models)
        return settings

    def _billing(self) -> dict[str, str]:
        return {}

    def _worker(self) -> dict[str, str]:
        return {**self._keyring(), "TOOLS__ALLOW": json.dumps(list(self.tools))}

    def _scheduler(self) -> dict[str, str]:
        return self._keyring()

    def _indexer(self) -> dict[str, str]:
        return {**self._keyring(), **self._objects(), "INDEX__PATH": str(self.folder.root / "index")}


def code_of(bus: str) -> tuple[str, ...]:
    """The modules that the services and the preparation of their start run; `bus` is its URL."""
    kind = "rabbit" if bus.startswith("amqp") else "nats"
    adapter = (f"penstock_common.messaging.{kind}.{part}" for part in ("bus", "faststream", "topology"))
    apps = (f"penstock_{service}.app" for service in SERVICES)
    return (*LATER, *adapter, *apps)
