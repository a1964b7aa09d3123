"""Reads documents in a process of its own: what takes it down takes nothing else along."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import Mapping

import msgspec

from penstock_indexer.domain.errors import REFUSALS, DocumentRefused, DocumentTooLong, ParserDied, ParserTooSlow
from penstock_indexer.parsing.wire import Limits, Parsed, Task

MAX_OUTPUT = 128 << 20  # bytes
WALL = 4.0  # seconds of wall time per second of CPU: others work here too
ENVIRONMENT: Mapping[str, str] = {"PYTHONUNBUFFERED": "1", "LC_ALL": "C.UTF-8"}


class ChildParser:
    """One child process a document."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._wall = limits.seconds * WALL

    async def parse(self, content: bytes, media_type: str, chunk_characters: int, overlap: int) -> Parsed:
        """The chunks in order. Raises a DocumentRefused, ParserDied."""
        task = Task(content, media_type, chunk_characters, overlap, self.limits)
        command = (sys.executable, "-P", "-m", "penstock_indexer.parsing")
        pipe, quiet = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
        child = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=quiet, env=ENVIRONMENT)
        try:
            async with asyncio.timeout(self._wall):
                output = await _converse(child, msgspec.msgpack.encode(task))
        except TimeoutError as error:
            raise ParserDied(f"Reading the document gave no result within {self._wall:.0f} s.") from error
        finally:
            await _end(child)

        return self._understood(output, child.returncode or 0)

    def _understood(self, output: bytes, status: int) -> Parsed:
        if status == -signal.SIGXCPU:
            raise ParserTooSlow(f"Reading the document took more than {self.limits.seconds} s; upload it in parts.")
        if status:
            raise ParserDied(f"{ParserDied.__doc__}")
        parsed = msgspec.msgpack.decode(output, type=Parsed)
        if parsed.error_code:
            raise REFUSALS.get(parsed.error_code, DocumentRefused)(parsed.error)
        return parsed


async def _converse(child: asyncio.subprocess.Process, task: bytes) -> bytes:
    """Send the task, read the answer to its end. Raises DocumentTooLong."""
    assert child.stdin is not None
    assert child.stdout is not None
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        child.stdin.write(task)
        await child.stdin.drain()
        child.stdin.close()
    output = bytearray()
    while part := await child.stdout.read(1 << 20):
        output += part
        if len(output) > MAX_OUTPUT:
            raise DocumentTooLong("The document holds more text than can be indexed; upload it in parts.")
    await child.wait()
    return bytes(output)


async def _end(child: asyncio.subprocess.Process) -> None:
    """Leave no process behind, whatever happened."""
    if child.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        await asyncio.shield(child.wait())
