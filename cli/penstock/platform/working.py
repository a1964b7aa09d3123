"""Runs a step of a move between two buses in a process of its own: what it imports is freed with it."""

import json
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from penstock.platform.errors import PlatformError
from penstock.platform.forking import Zygote
from penstock.platform.program import Program, plain_environment

NAME = "move"


async def carried_out(zygote: Zygote, step: str, given: Mapping[str, Any], logs: Path) -> dict[str, Any]:
    """What the step of `penstock.moving.work` tells at its end; raises PlatformError with what stood in its way."""
    program = Program(
        name=NAME,
        argv=(sys.executable, "-m", "penstock.moving.work", step),
        env=plain_environment(),
        cwd=Path("/"),
    )
    process = await zygote.spawn(program, json.dumps(given).encode())
    try:
        said = (await process.stdout.read()).decode(errors="replace")
        await process.wait()
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
    last = said.strip().rpartition("\n")[2]
    if process.returncode:
        story = logs / f"{NAME}.log"
        story.write_text(said)
        raise PlatformError(f"{last} (more in {story})")
    told: dict[str, Any] = json.loads(last)
    return told
