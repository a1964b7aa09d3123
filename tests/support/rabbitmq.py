"""RabbitMQ without Docker: the installed one, or Debian's packages unpacked in a cache folder."""

import asyncio
import base64
import fcntl
import os
import shutil
import subprocess
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from penstock.platform.ports import LOOPBACK
from penstock.platform.program import Program, plain_environment
from tests.support.cache import cache_folder

LIBRARIES = """
asn1 base crypto eldap ftp inets mnesia os-mon parsetools public-key
runtime-tools snmp ssl syntax-tools tftp tools xmerl
"""
PACKAGES = ("rabbitmq-server", "libsctp1", *(f"erlang-{name}" for name in LIBRARIES.split()))
SCRIPTS = "usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmq-server"
ERLANG_HOME = "usr/lib/erlang"
HELP = (
    "RabbitMQ is needed by the tests and could not be fetched ({reason}). Install it: apt-get install "
    "rabbitmq-server; or name a running one (3.10 or newer, with management) in PENSTOCK_TEST_RABBITMQ_URL."
)

# A quorum queue that crashes prints its whole state, again and again: gigabytes in some minutes.
CONFIG = """\
listeners.tcp.1 = {host}:{port}
management.tcp.ip = {host}
management.tcp.port = {management}
loopback_users = none
log.console = true
log.console.level = critical
log.file = false
disk_free_limit.absolute = 50MB
"""

# The second wait is for the broker itself: a signal that is trapped ends the first.
RUN = 'epmd & names=$!; "$1" & broker=$!; trap "kill -TERM $broker" TERM; wait $broker; wait $broker; kill $names'


class RabbitMissing(RuntimeError):
    """RabbitMQ is neither installed nor to be had; the message says what to do."""


@dataclass(frozen=True, slots=True)
class RabbitServer:
    """One broker whose files lie in `home`, run from the installation in `root`."""

    home: Path
    root: Path
    port: int
    management: int
    distribution: int
    names: int
    """Port of its own epmd, so that it meets no other broker's."""
    name: str = "rabbitmq"

    @property
    def url(self) -> str:
        """For clients, on the default virtual host."""
        return f"amqp://guest:guest@{LOOPBACK}:{self.port}/"

    @property
    def api(self) -> str:
        """Of the management plugin."""
        return f"http://guest:guest@{LOOPBACK}:{self.management}/api"

    def prepare(self) -> None:
        """Write the configuration."""
        self.home.mkdir(exist_ok=True)
        config = CONFIG.format(host=LOOPBACK, port=self.port, management=self.management)
        (self.home / "rabbitmq.conf").write_text(config)
        (self.home / "enabled_plugins").write_text("[rabbitmq_management].")
        (self.home / "env.conf").touch()

    def program(self) -> Program:
        """The broker under a shell that ends its name server too, which would outlive it as a daemon."""
        script = next(self.root.glob(SCRIPTS))
        return Program(
            name=self.name,
            argv=("/bin/bash", "-c", RUN, "bash", str(script)),
            env=self._environment(),
            cwd=self.home,
        )

    async def is_ready(self, _pid: int) -> bool:
        """Whether its management API says that this very node runs."""
        return await asyncio.to_thread(self._is_ready)

    def _is_ready(self) -> bool:
        try:
            return self._node in ask(self.api, "/overview").decode()
        except OSError:
            return False

    @property
    def _node(self) -> str:
        return f"rabbit-{self.port}@localhost"

    def _environment(self) -> dict[str, str]:
        libraries = ":".join(str(path) for path in self.root.glob("usr/lib/*-linux-gnu"))
        erlang = self.root / ERLANG_HOME
        return plain_environment() | {
            "ERL_ROOTDIR": str(erlang),
            "PATH": f"{erlang / 'bin'}:{os.environ['PATH']}",
            "LD_LIBRARY_PATH": libraries,
            "HOME": str(self.home),
            "ERL_EPMD_ADDRESS": LOOPBACK,
            "ERL_EPMD_PORT": str(self.names),
            "RABBITMQ_BASE": str(self.home),
            "RABBITMQ_NODENAME": self._node,
            "RABBITMQ_DIST_PORT": str(self.distribution),
            "RABBITMQ_CONFIG_FILE": str(self.home / "rabbitmq.conf"),
            "RABBITMQ_MNESIA_BASE": str(self.home / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.home / "log"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.home / "enabled_plugins"),
            "RABBITMQ_PID_FILE": str(self.home / "pid"),
            "RABBITMQ_CONF_ENV_FILE": str(self.home / "env.conf"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1} +S 2:2",
        }


def ask(api: str, path: str, method: str = "GET", body: bytes | None = None) -> bytes:
    """One call of a management API whose address contains user and password; raises OSError."""
    address = urlsplit(api)
    credentials = base64.b64encode(f"{address.username}:{address.password}".encode()).decode()
    request = urllib.request.Request(
        f"{address.scheme}://{address.hostname}:{address.port}{address.path}{path}",
        method=method,
        data=body,
        headers={"authorization": f"Basic {credentials}", "content-type": "application/json"},
    )
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10) as answer:
        content: bytes = answer.read()
        return content


def rabbitmq_home() -> Path:
    """The root folder of an installation; raises RabbitMissing with what to do where there is none."""
    if any(Path("/").glob(SCRIPTS)) and shutil.which("erl"):
        return Path("/")
    cache = cache_folder()
    root = cache / "rabbitmq"
    with (cache / "rabbitmq.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not root.exists():
            _fetch(root)
    return root


def _fetch(root: Path) -> None:
    """Unpack Debian's packages without installing them, complete or not at all."""
    scratch = root.with_name("rabbitmq.new")
    shutil.rmtree(scratch, ignore_errors=True)
    packages = scratch / "packages"
    packages.mkdir(parents=True)
    try:
        _download(packages)
        for package in sorted(packages.glob("*.deb")):
            _run("dpkg", "-x", str(package), str(scratch))
    except (OSError, subprocess.CalledProcessError) as error:
        reason = getattr(error, "stderr", "") or str(error)
        raise RabbitMissing(HELP.format(reason=reason.strip().rpartition("\n")[2])) from error
    shutil.rmtree(packages)
    erlang = scratch / ERLANG_HOME
    for script in (erlang / "bin/erl", erlang / "bin/start", *erlang.glob("erts-*/bin/erl")):
        script.write_text(script.read_text().replace("=/usr/lib/erlang", f"={root / ERLANG_HOME}"))
    scratch.rename(root)


def _download(folder: Path) -> None:
    try:
        _run("apt-get", "download", *PACKAGES, cwd=folder)
    except subprocess.CalledProcessError:
        if os.geteuid() != 0:
            raise
        _run("apt-get", "-qq", "update")  # a fresh machine has no package lists yet
        _run("apt-get", "download", *PACKAGES, cwd=folder)


def _run(*command: str, cwd: Path | None = None) -> None:
    subprocess.run(command, cwd=cwd, check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL)
