"""Processes forked from a zygote: ordered over a socket pair, adopted and watched by the supervisor."""

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from penstock.platform.child import Child
from penstock.platform.errors import PlatformError
from penstock.platform.leftovers import Ledger
from penstock.platform.logs import Console, Log
from penstock.platform.program import Program, plain_environment
from penstock.platform.zygote import LOADED, Order

NAME = "zygote"
FORKED_WITHIN = 30.0  # seconds; a zygote that died is there again long before


class Forked:
    """A child process of ours that another one started; as far as `Child` needs it, an `asyncio.subprocess.Process`."""

    def __init__(self, pid: int, stdout: asyncio.StreamReader) -> None:
        self.pid, self.stdout = pid, stdout
        self.returncode: int | None = None
        self._ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._pidfd = os.pidfd_open(pid)
        asyncio.get_running_loop().add_reader(self._pidfd, self._reap)

    async def wait(self) -> int:
        """Its exit code, or the number of the signal that ended it below zero."""
        return await asyncio.shield(self._ended)

    def send_signal(self, number: signal.Signals) -> None:
        """Only while it runs: afterwards the pid may be another's."""
        os.kill(self.pid, number)

    def _reap(self) -> None:
        asyncio.get_running_loop().remove_reader(self._pidfd)
        os.close(self._pidfd)
        _, status = os.waitpid(self.pid, 0)
        self.returncode = os.waitstatus_to_exitcode(status)
        self._ended.set_result(self.returncode)


@dataclass
class Zygote:
    """The process to fork from, one of the supervised: orders that it does not live to see wait for its successor.

    What it forks has to be adopted by this process (see `Orphans`).
    """

    logs: Path
    ledger: Ledger
    console: Console
    modules: Sequence[str]
    """What it loads."""
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    def __post_init__(self) -> None:
        self._ours, self._theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._ours.setblocking(False)
        self._loaded = asyncio.Event()
        self._orders = 0
        self._fds: Sequence[int] = ()
        self._pid: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().add_reader(self._ours, self._hear)
        self.child = Child(self._program(), Log(NAME, self.logs, None), self.ledger, self.console)

    def close(self) -> None:
        """Hear no more of it, once it has ended."""
        asyncio.get_running_loop().remove_reader(self._ours)
        self._ours.close()
        self._theirs.close()

    async def is_loaded(self, _pid: int) -> bool:
        """Whether it takes orders."""
        return self._loaded.is_set()

    async def spawn(self, program: Program, stdin: bytes = b"") -> Forked:
        """Fork a process for the program, `python -m MODULE …`; raises PlatformError where none comes."""
        await self._loaded.wait()
        output, theirs = os.pipe()
        reader = await _reader(output)
        fds = [_file(stdin), theirs]
        try:
            return Forked(await self._forked(program, (*fds, *program.inherited)), reader)
        finally:
            for fd in fds:
                os.close(fd)

    async def _forked(self, program: Program, fds: Sequence[int]) -> int:
        async with self._turn:
            self._orders += 1
            self._pid = asyncio.get_running_loop().create_future()
            order = _order(program, self._orders)
            self._fds = (order, *fds)
            self._send()
            try:
                async with asyncio.timeout(FORKED_WITHIN):
                    return await self._pid
            except TimeoutError:
                story = self.child.story()
                raise PlatformError(f"{program.name} can't be started: nothing forks it.{story}") from None
            finally:
                self._fds = ()
                os.close(order)

    def _send(self) -> None:
        socket.send_fds(self._ours, [b"!"], self._fds)

    def _hear(self) -> None:
        said = self._ours.recv(64)
        if said == LOADED:
            if self._fds:
                self._send()  # its predecessor may have died with the order in its hands
            self._loaded.set()
            return
        number, pid = map(int, said.split())
        if number == self._orders and not self._pid.done():
            self._pid.set_result(pid)
        else:  # nobody waits for it any more
            os.kill(pid, signal.SIGKILL)

    def _program(self) -> Program:
        fd = self._theirs.fileno()
        return Program(
            name=NAME,
            argv=(sys.executable, "-m", "penstock.platform.zygote", str(fd), *self.modules),
            env=plain_environment(),
            cwd=Path("/"),
            inherited=(fd,),
        )


def _order(program: Program, number: int) -> int:
    order = Order(
        number=number,
        argv=program.argv,
        env=dict(program.env),
        cwd=str(program.cwd),
        parent=os.getpid(),
        stop_signal=int(program.stop_signal),
    )
    return _file(json.dumps(asdict(order)).encode())


def _file(content: bytes) -> int:
    """A file descriptor from which the content can be read."""
    fd = os.memfd_create("order")
    with os.fdopen(os.dup(fd), "wb") as file:
        file.write(content)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


async def _reader(fd: int) -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    pipe = os.fdopen(fd, "rb", buffering=0)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
    return reader
