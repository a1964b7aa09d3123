"""Real servers for tests: private ones that a test may kill, and those that a whole run shares."""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

from penstock.platform.account import server_account
from penstock.platform.leftovers import family, marks_of
from penstock.platform.nats import NatsServer
from penstock.platform.ports import free_ports
from penstock.platform.postgres import PostgresServer
from penstock.platform.program import Program
from tests.support.llama import LlamaServer
from tests.support.rabbitmq import RabbitServer, rabbitmq_home

PASSWORD = "secret-of-a-test"
# A server ends with the thread that started it, so one thread that lives as long as the run starts them all.
SPAWNER = ThreadPoolExecutor(1, thread_name_prefix="servers")
READY_WITHIN = 60.0  # seconds

# No test of the shared server pulls the plug, and its databases are thrown away.
FORGETFUL = (("fsync", "off"), ("synchronous_commit", "off"), ("full_page_writes", "off"))
MANY_CONNECTIONS = (("max_connections", "300"),)


class Kind(Protocol):
    """A server program with its settings, as the platform describes its own."""

    @property
    def name(self) -> str: ...
    @property
    def url(self) -> str: ...
    def prepare(self) -> None: ...
    def program(self) -> Program: ...
    async def is_ready(self, pid: int, /) -> bool: ...


class Server:
    """One running server in a scratch folder; starts again on the same port with the same data."""

    def __init__(self, kind: Kind, home: Path) -> None:
        self.kind = kind
        self.home = home
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """For clients."""
        return self.kind.url

    @property
    def pid(self) -> int:
        """The server's first process."""
        assert self._process, f"{self.kind.name} was not started"
        return self._process.pid

    @property
    def urls(self) -> list[str]:
        """For clients, one a node."""
        return [self.url]

    @property
    def logs(self) -> list[Path]:
        """What its nodes printed."""
        return [self.log]

    @property
    def alive(self) -> bool:
        """Whether its first process is there."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> "Server":
        """Start and wait until it answers; the end of its log explains a failure."""
        self.kind.prepare()
        program = self.kind.program()
        self._process = SPAWNER.submit(self._spawn, program).result()
        SPAWNER.submit(asyncio.run, self._ready(self._process)).result()
        return self

    def stop(self) -> None:
        """End it in order."""
        if self._process and self._process.poll() is None:
            self.thaw()
            self._process.send_signal(self.kind.program().stop_signal)
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:
                self.kill()

    def kill(self) -> None:
        """kill -9 of all its processes, and wait until they are gone."""
        marks = list(marks_of(family(self.pid)))
        self._signal(signal.SIGKILL)
        assert self._process
        self._process.wait()
        while any(mark.is_alive() for mark in marks):
            time.sleep(0.01)

    def freeze(self) -> None:
        """Stop its clock: it keeps its connections and answers nothing. Returns once every thread stands still."""
        self._signal(signal.SIGSTOP)
        while not all(map(stands_still, family(self.pid))):
            self._signal(signal.SIGSTOP)  # for a child that was just being forked
            time.sleep(0.005)

    def thaw(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def dispose(self) -> None:
        """End it, in no order, and remove all that it kept."""
        if self._process and self._process.poll() is None:
            self.kill()
        shutil.rmtree(self.home, ignore_errors=True)

    @property
    def log(self) -> Path:
        """What it printed."""
        return self.home / f"{self.kind.name}.log"

    def _spawn(self, program: Program) -> "subprocess.Popen[bytes]":
        with self.log.open("ab") as log:
            return subprocess.Popen(
                program.argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **program.popen_arguments()
            )

    def _signal(self, number: signal.Signals) -> None:
        for pid in family(self.pid):
            with contextlib.suppress(ProcessLookupError):  # a child that its parent has just taken along
                os.kill(pid, number)

    async def _ready(self, process: "subprocess.Popen[bytes]") -> None:
        deadline = time.monotonic() + READY_WITHIN
        while not await self.kind.is_ready(process.pid):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self.kind.name} did not start:\n{self.log.read_text()[-2000:]}")
            await asyncio.sleep(0.02)


def stands_still(pid: int) -> bool:
    """Whether all threads of a process are stopped, or gone."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        stats = [stat.read_text() for stat in Path(f"/proc/{pid}/task").glob("*/stat")]
        return all(stat.rpartition(")")[2].split()[0] in "TZX" for stat in stats)
    return True


def nats_server() -> Server:
    """A NATS server with JetStream, not yet started."""
    home = scratch_folder("nats")
    client, monitor = free_ports(2)
    return Server(NatsServer(home / "server", PASSWORD, client, monitor), home)


def postgres_server(*settings: tuple[str, str]) -> Server:
    """A PostgreSQL server with fsync on, not yet started; `settings` change others."""
    home = scratch_folder("postgres")
    (port,) = free_ports(1)
    chosen = (*MANY_CONNECTIONS, *settings)
    return Server(PostgresServer(home / "server", PASSWORD, port, server_account(), chosen), home)


def rabbitmq_server() -> Server:
    """A RabbitMQ server with its management API, not yet started; its packages are fetched once and kept."""
    home = scratch_folder("rabbitmq")
    port, management, distribution, names = free_ports(4)
    broker = RabbitServer(home / "server", rabbitmq_home(), port, management, distribution, names)
    return Server(broker, home)


def llama_server(built: Path) -> Server:
    """llama.cpp's server with the tiny model, not yet started; `built` is its program."""
    home = scratch_folder("llama")
    (port,) = free_ports(1)
    return Server(LlamaServer(home / "server", built, port), home)


def shared_server(kind: str) -> Server:
    """The server of this kind that a whole run uses, not yet started."""
    makers: dict[str, Callable[[], Server]] = {
        "nats": nats_server,
        "postgres": lambda: postgres_server(*FORGETFUL),
        "rabbitmq": rabbitmq_server,
    }
    return makers[kind]()


def scratch_folder(name: str) -> Path:
    """A folder that PostgreSQL's account can enter, which pytest's own are not."""
    home = Path(tempfile.mkdtemp(prefix=f"penstock-{name}-"))
    home.chmod(0o711)
    return home
