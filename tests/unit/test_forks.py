"""Forked processes begin with all that they need."""

import sys
import time

from tests.support.forks import LOADED, lived

QUICKLY = 5.0  # seconds for ten of them, on a busy machine; the modules alone take each of them two


async def leave(code: int) -> None:
    """End with the number of modules that are missing, or with a code."""
    missing = [name for name in LOADED if name not in sys.modules]
    print(missing)
    sys.exit(len(missing) or code)


async def test_all_is_loaded() -> None:
    """multiprocessing says nothing of a module that it could not load."""
    assert await lived(leave, 77) == 77


async def test_processes_begin_at_once() -> None:
    """Once there is one to fork from."""
    await lived(leave, 0)
    began = time.monotonic()
    for _ in range(10):
        await lived(leave, 0)
    assert time.monotonic() - began < QUICKLY
