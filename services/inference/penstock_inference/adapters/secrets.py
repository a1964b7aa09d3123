"""Keys of engines: sealed files first, then the environment. Never logged, never on the bus."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

import structlog

from penstock_common.errors import PenstockError
from penstock_common.sealing import Sealer, secret_context

log = structlog.get_logger()

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")


class Secrets:
    """Finds an engine's key by its name. A file that changed is read again."""

    def __init__(self, folder: Path, sealer: Sealer, environment: Mapping[str, str] = os.environ) -> None:
        self.folder, self.sealer, self._environment = folder, sealer, environment
        self._known: dict[str, tuple[tuple[int, int], str | None]] = {}

    def resolve(self, name: str) -> str | None:
        """The key, from `<folder>/<name>.sealed` or the variable `name`; None where there is neither."""
        if not NAME.fullmatch(name):
            return None
        path = self.folder / f"{name}.sealed"
        try:
            state = path.stat()
        except OSError:
            return self._environment.get(name) or None
        stamp = (state.st_mtime_ns, state.st_ino)
        known = self._known.get(name)
        if known is None or known[0] != stamp:
            known = self._known[name] = (stamp, self._opened(path, name))
        return known[1]

    def _opened(self, path: Path, name: str) -> str | None:
        try:
            return self.sealer.open(secret_context(name), path.read_bytes()).decode().strip()
        except (OSError, PenstockError, UnicodeDecodeError) as error:
            log.error("secret.unreadable", secret=name, reason=type(error).__name__)
            return None
