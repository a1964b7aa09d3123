"""Where tests keep what takes long to fetch or to build."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """The user's cache folder of this project, made if it is missing."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "penstock"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
