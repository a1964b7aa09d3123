"""A folder of indexes that this process has to itself."""

import contextlib
import fcntl
import os
from pathlib import Path


class OwnFolder:
    """The first numbered folder that no other process holds: after a restart usually the one it had before."""

    def __init__(self, root: Path) -> None:
        self.root, self.path = root, root / "0"
        self._lock = -1

    def take(self) -> Path:
        """Lock one, and make it. Raises OSError where the root can't be written."""
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        number = 0
        while not self._try(number):
            number += 1
        self.path = self.root / str(number)
        self.path.mkdir(exist_ok=True, mode=0o700)
        return self.path

    def release(self) -> None:
        """Leave it to others."""
        if self._lock >= 0:
            os.close(self._lock)
        self._lock = -1

    def _try(self, number: int) -> bool:
        descriptor = os.open(self.root / f"{number}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._lock = descriptor
            return True
        os.close(descriptor)
        return False
