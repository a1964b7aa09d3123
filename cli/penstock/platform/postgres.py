"""The embedded PostgreSQL server."""

import contextlib
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

from penstock.platform.account import Account
from penstock.platform.binaries import programs
from penstock.platform.errors import PlatformError
from penstock.platform.files import write_private
from penstock.platform.leftovers import end_postgres_in
from penstock.platform.ports import LOOPBACK
from penstock.platform.program import Program, plain_environment

SUPERUSER = "penstock_admin"
DATABASE = "penstock"

SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "fsync": "on",
    "shared_buffers": "64MB",
    "max_connections": "100",
    "max_wal_size": "1GB",
    "io_method": "sync",
    "jit": "off",
    "log_checkpoints": "off",
}


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """One server whose cluster lies in `home`; its parent folder must be open to `account`."""

    home: Path
    password: str
    port: int
    account: Account
    settings: tuple[tuple[str, str], ...] = ()
    """Server settings beside, or instead of, the usual ones."""
    name: str = "postgres"

    @property
    def url(self) -> str:
        """For the superuser."""
        return self.url_of(SUPERUSER, self.password)

    @property
    def maintenance_url(self) -> str:
        """For the superuser, before our database exists."""
        return self.url_of(SUPERUSER, self.password, "postgres")

    def url_of(self, role: str, password: str, database: str = DATABASE) -> str:
        """For one of the roles."""
        return f"postgresql://{role}:{password}@{LOOPBACK}:{self.port}/{database}"

    def prepare(self) -> None:
        """Make the cluster at the first start; at later ones clear what a killed server left."""
        binaries = programs(self.home.parent, self.account)
        if (self.home / "PG_VERSION").exists():
            end_postgres_in(self.home)
            (self.home / "postmaster.pid").unlink(missing_ok=True)
        else:
            self._create_cluster(binaries)

    def program(self) -> Program:
        """The server's command line; smart enough to be stopped by SIGINT (fast shutdown)."""
        settings = SETTINGS | {"port": str(self.port)} | dict(self.settings)
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return Program(
            name=self.name,
            argv=(str(programs(self.home.parent, self.account) / "postgres"), "-D", str(self.home), *options),
            env=plain_environment() | {"LC_ALL": "C"},
            cwd=self.home,
            account=self.account,
            stop_signal=signal.SIGINT,
            hurry_signal=signal.SIGQUIT,
        )

    async def is_ready(self, pid: int) -> bool:
        """Whether the process `pid` says in its pid file, as pg_ctl reads it, that it takes connections."""
        with contextlib.suppress(OSError):
            lines = (self.home / "postmaster.pid").read_text().splitlines()
            return len(lines) > 7 and lines[0] == str(pid) and lines[7].strip() == "ready"
        return False

    def _create_cluster(self, binaries: Path) -> None:
        """Into a scratch folder first: a cluster that was half made must not be taken for one."""
        scratch = self.home.with_name(f"{self.home.name}.new")
        password = self.home.with_name(f"{self.home.name}.password")
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(mode=0o700)
        write_private(password, self.password)
        for path in (scratch, password):
            self.account.own(path)
        try:
            self._initdb(binaries, scratch, password)
        finally:
            password.unlink()
        scratch.rename(self.home)

    def _initdb(self, binaries: Path, cluster: Path, password: Path) -> None:
        program = Program(
            name="initdb",
            argv=(
                str(binaries / "initdb"),
                *("-D", str(cluster), "-U", SUPERUSER, "-A", "scram-sha-256", f"--pwfile={password}"),
                *("-E", "UTF8", "--no-locale", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
            ),
            env=plain_environment() | {"LC_ALL": "C"},
            cwd=cluster,
            account=self.account,
        )
        done = subprocess.run(  # noqa: S603 (our own command line)
            program.argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            **program.popen_arguments(),
        )
        if done.returncode:
            raise PlatformError(f"initdb could not make a database in {cluster}: {done.stderr.strip()}")
