"""The services as programs of this machine."""

import json
import os
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from penstock.platform.credentials import Credentials, digest
from penstock.platform.folder import DataFolder
from penstock.platform.ports import LOOPBACK
from penstock.platform.program import Program, plain_environment

OTLP_HEADERS = "OTEL_EXPORTER_OTLP_HEADERS"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """What the services are told: addresses, folders, keys."""

    folder: DataFolder
    bus: str
    databases: Mapping[str, str]
    """URL by service."""
    listeners: Mapping[str, socket.socket]
    """Where each service is asked over HTTP; api's is the public one."""
    credentials: Credentials
    discover: bool
    log_format: str
    otlp: str | None
    """Where spans go."""
    tools: Sequence[str] = ()
    """Hosts and networks inside that tasks may call."""

    def port(self, service: str) -> int:
        """The TCP port of a service."""
        port: int = self.listeners[service].getsockname()[1]
        return port

    def program(self, service: str) -> Program:
        """The command line and environment of one service."""
        settings = self._common(service) | getattr(self, f"_{service}")()
        # Only inference talks to engines, so only it sees their keys and the proxies on the way to them.
        inherited = dict(os.environ) if service == "inference" else plain_environment()
        prefix = f"PENSTOCK_{service.upper()}_"
        return Program(
            name=service,
            argv=(sys.executable, "-m", "penstock.platform.launch", service),
            gated=True,
            inherited=(self.listeners[service].fileno(),),
            env=inherited | {"PYTHONUNBUFFERED": "1"} | {f"{prefix}{name}": value for name, value in settings.items()},
            cwd=self.folder.root,
        )

    def _common(self, service: str) -> dict[str, str]:
        return {
            "BUS__URL": self.bus,
            "DATABASE__URL": self.databases[service],
            "HTTP__HOST": LOOPBACK,
            "HTTP__PORT": str(self.port(service)),
            "HTTP__FD": str(self.listeners[service].fileno()),
            "LOG__FORMAT": self.log_format,
            **self._traces(),
        }

    def _traces(self) -> dict[str, str]:
        if self.otlp is None:
            return {}
        headers = os.environ.get(OTLP_HEADERS)  # often a key: not for the command line
        return {"TRACES__ENDPOINT": self.otlp} | ({"TRACES__HEADERS": headers} if headers else {})

    def _keyring(self) -> dict[str, str]:
        return {"KEYRING__PATH": str(self.folder.root / "keyring")}

    def _objects(self) -> dict[str, str]:
        return {"OBJECTS__PATH": str(self.folder.root / "objects")}

    def _api(self) -> dict[str, str]:
        return {
            **self._keyring(),
            **self._objects(),
            "BOOTSTRAP__USER_KEY_SHA256": digest(self.credentials.api_key),
            "BOOTSTRAP__ADMIN_KEY_SHA256": digest(self.credentials.admin_key),
        }

    def _inference(self) -> dict[str, str]:
        settings = {
            **self._keyring(),
            "SECRETS__PATH": str(self.folder.root / "secrets"),
            "SIM__PATH": str(self.folder.root / "sim"),
            "DISCOVER": str(self.discover).lower(),
            "LOOK__OWN_PORTS": f"[{self.port('api')}]",
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
