"""The data folder: where everything of one platform rests, and who may enter it."""

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from penstock.platform.account import Account
from penstock.platform.errors import AlreadyRunning, PlatformError


def default_data() -> Path:
    """PENSTOCK_DATA, else /var/lib/penstock for root, else the user's own data home."""
    if named := os.environ.get("PENSTOCK_DATA"):
        return Path(named)
    if os.geteuid() == 0:
        return Path("/var/lib/penstock")
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share") / "penstock"


@dataclass(frozen=True, slots=True)
class DataFolder:
    """Names of what lies in the folder."""

    root: Path

    @classmethod
    def at(cls, path: Path | None) -> "DataFolder":
        """The folder that `--data`, the environment or the default names, as an absolute path."""
        return cls((path or default_data()).expanduser().absolute())

    @property
    def lock(self) -> Path:
        """Held by the running supervisor; contains its pid."""
        return self.root / "lock"

    @property
    def passwords(self) -> Path:
        """Passwords of the embedded servers."""
        return self.root / "passwords.json"

    @property
    def credentials(self) -> Path:
        """The two local API keys."""
        return self.root / "credentials.json"

    @property
    def state(self) -> Path:
        """Addresses of the platform that runs here."""
        return self.root / "state.json"

    @property
    def bus(self) -> Path:
        """Which bus the platform was moved to; not there where it never was."""
        return self.root / "bus.json"

    @property
    def restored(self) -> Path:
        """What was made anew on the bus while the platform ran."""
        return self.root / "restored.json"

    @property
    def processes(self) -> Path:
        """The processes that the supervisor started."""
        return self.root / "processes.json"

    @property
    def archive(self) -> Path:
        """Archived events, where no other storage was named."""
        return self.root / "archive"

    @property
    def logs(self) -> Path:
        """One log file per process, rotated by size."""
        return self.root / "logs"

    @property
    def models(self) -> Path:
        """The operator's own catalogue; need not exist."""
        return self.root / "models.yaml"

    def prepare(self, guest: Account | None = None) -> None:
        """Make the folder, open to a guest if there is one; raises PlatformError where that can't be."""
        if guest:
            check_reachable(self.root, guest)
        try:
            _make(self.root, 0o711 if guest else 0o700)
            self.logs.mkdir(exist_ok=True, mode=0o700)
        except OSError as error:
            raise PlatformError(f"{self.root} can't be used as data folder: {error.strerror}.") from error

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder for this process; raises AlreadyRunning with the pid of the one that holds it."""
        with self.lock.open("a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                raise AlreadyRunning(pid=file.read().strip() or "unknown") from None
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            yield


def _make(folder: Path, mode: int) -> None:
    """Make the folder with `mode`, or add what it lacks of it; missing parents are open whatever the umask says."""
    for parent in reversed(folder.parents):
        if not parent.exists():
            parent.mkdir()
            parent.chmod(0o755)
    known = folder.exists()
    folder.mkdir(exist_ok=True)
    folder.chmod(stat.S_IMODE(folder.stat().st_mode) | mode if known else mode)


def check_reachable(folder: Path, account: Account) -> None:
    """Raise PlatformError where the account can't get to the folder."""
    for parent in reversed(folder.resolve().parents):
        if parent.exists() and not account.may_enter(parent):
            raise PlatformError(
                f"PostgreSQL does not run as root but as {account.name}, who can't enter {parent} and so not "
                f"{folder}. Choose a folder elsewhere (--data; the default is /var/lib/penstock) "
                f"or run: chmod o+x {parent}"
            )
