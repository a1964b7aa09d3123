"""The embedded NATS server with JetStream."""

import asyncio
import json
import shutil
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from penstock.platform.errors import PlatformError
from penstock.platform.files import write_private
from penstock.platform.ports import LOOPBACK
from penstock.platform.program import Program, plain_environment

USER = "penstock"
HEAP = "256MiB"  # beyond it Go collects garbage sooner; nothing is refused

# What streams reserve is their declared maximum, so the store must promise more than this disk may have:
# a full disk shows as a refused publish, never as a stream that can't be made.
CONFIG = """\
server_name: {name}
listen: "{host}:{port}"
http: "{host}:{monitor_port}"
max_payload: 10MB
max_pending: 256MB
authorization {{ user: {user}, password: "{password}" }}
jetstream {{ store_dir: "{store}", sync_interval: "1s", max_file_store: 1TB, max_memory_store: 1GB }}
"""


@dataclass(frozen=True, slots=True)
class NatsServer:
    """One server whose configuration and store lie in `home`."""

    home: Path
    password: str
    port: int
    monitor_port: int
    name: str = "nats"

    @property
    def identity(self) -> str:
        """What the server calls itself; tells it from a stranger on the same port."""
        return f"penstock-{self.port}-{self.monitor_port}"

    @property
    def url(self) -> str:
        """For clients."""
        return f"nats://{USER}:{self.password}@{LOOPBACK}:{self.port}"

    def prepare(self) -> None:
        """Write the configuration."""
        self.home.mkdir(mode=0o700, exist_ok=True)
        write_private(
            self.home / "nats.conf",
            CONFIG.format(
                name=self.identity,
                host=LOOPBACK,
                port=self.port,
                monitor_port=self.monitor_port,
                user=USER,
                password=self.password,
                store=self.home / "jetstream",
            ),
        )

    def program(self) -> Program:
        """The server's command line."""
        return Program(
            name=self.name,
            argv=(_executable(), "-c", str(self.home / "nats.conf")),
            env={"GOMEMLIMIT": HEAP, **plain_environment()},
            cwd=self.home,
        )

    async def is_ready(self, _pid: int) -> bool:
        """Whether this very server greets its clients; it does so once JetStream has recovered."""
        try:
            reader, writer = await asyncio.open_connection(LOOPBACK, self.port)
        except OSError:
            return False
        try:
            greeting = await asyncio.wait_for(reader.readline(), 2)
        except (OSError, TimeoutError):
            return False
        finally:
            writer.close()
        if not greeting.startswith(b"INFO "):
            return False
        return bool(json.loads(greeting[5:]).get("server_name") == self.identity)


def _executable() -> str:
    own = Path(sysconfig.get_path("scripts")) / "nats-server"
    found = str(own) if own.exists() else shutil.which("nats-server")
    if not found:
        raise PlatformError("nats-server is missing from this installation; run make up again.")
    return found
