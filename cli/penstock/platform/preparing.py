"""Runs `penstock.platform.prepare` in a process of its own."""

import json
import signal
import sys
from dataclasses import asdict
from pathlib import Path

from penstock.platform.errors import PlatformError
from penstock.platform.forking import Zygote
from penstock.platform.program import Program, plain_environment
from penstock.platform.servers import Addresses


async def run_prepare(zygote: Zygote, addresses: Addresses, logs: Path) -> None:
    """Wait until database and bus are prepared; raises PlatformError with what stood in the way."""
    program = Program(
        name="prepare",
        argv=(sys.executable, "-m", "penstock.platform.prepare"),
        env=plain_environment(),
        cwd=Path("/"),
    )
    process = await zygote.spawn(program, json.dumps(asdict(addresses)).encode())
    try:
        said = await process.stdout.read()
        await process.wait()
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
    if process.returncode:
        story = logs / "prepare.log"
        story.write_bytes(said)
        reason = said.decode(errors="replace").strip().rpartition("\n")[2]
        raise PlatformError(f"The database and the bus could not be prepared: {reason} (more in {story})")
