"""Runs `penstock.platform.prepare` in a process of its own."""

import asyncio
import json
import sys
from dataclasses import asdict
from pathlib import Path

from penstock.platform.errors import PlatformError
from penstock.platform.program import Program, plain_environment
from penstock.platform.servers import Addresses


async def run_prepare(addresses: Addresses, logs: Path) -> None:
    """Wait until database and bus are prepared; raises PlatformError with what stood in the way."""
    program = Program(
        name="prepare",
        argv=(sys.executable, "-m", "penstock.platform.prepare"),
        env=plain_environment(),
        cwd=Path("/"),
    )
    process = await asyncio.create_subprocess_exec(
        *program.argv,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        **program.popen_arguments(),
    )
    try:
        _, errors = await process.communicate(json.dumps(asdict(addresses)).encode())
    finally:
        if process.returncode is None:
            process.kill()
    if process.returncode:
        story = logs / "prepare.log"
        story.write_bytes(errors)
        reason = errors.decode(errors="replace").strip().rpartition("\n")[2]
        raise PlatformError(f"The database and the bus could not be prepared: {reason} (more in {story})")
