"""Files that are whole or not there."""

import os
from hashlib import blake2b
from pathlib import Path

from penstock_common.objects import flush


def replace(path: Path, content: bytes) -> None:
    """Write beside it, flush, rename, flush the folder: after a power cut there is the old file or the new one."""
    draft = path.with_suffix(".new")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.rename(path)
    flush(path.parent)


def digest(path: Path) -> str:
    """32 hex digits over a file's content."""
    with path.open("rb") as file:
        running = blake2b(digest_size=16)
        while part := file.read(1 << 20):
            running.update(part)
    return running.hexdigest()
