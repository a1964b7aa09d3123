"""Servers that all workers of one test run share: started when first asked for, ended with the run."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Client, Listener
from pathlib import Path
from urllib.parse import SplitResult, quote, urlsplit
from uuid import uuid4

from tests.support.containers import RabbitContainer, docker_answers
from tests.support.rabbitmq import ask
from tests.support.servers import Server, shared_server

ROOT = Path(__file__).parents[2]
SOCKET = "PENSTOCK_TEST_KEEPER"
GIVEN = "PENSTOCK_TEST_{}_URL"
FAILED = "failed: "
AHEAD = {"llama": "tests.support.llama_build"}
"""Modules that make in minutes what some tests need, by what it is called."""
ALL_RIGHTS = b'{"configure": ".*", "write": ".*", "read": ".*"}'


def shared_url(kind: str) -> str:
    """Address of the run's `postgres` or `rabbitmq` (there with its API's address after a space).

    A server that PENSTOCK_TEST_<KIND>_URL names comes first. Raises RuntimeError where there is none to be had.
    """
    if given := os.environ.get(GIVEN.format(kind.upper())):
        return given
    answer = _asked(kind)
    if answer.startswith(FAILED):
        raise RuntimeError(answer.removeprefix(FAILED))
    return answer


def begin_ahead(name: str) -> None:
    """Have one of AHEAD made in the background, once a run. Whoever needs it waits for it by its lock."""
    _asked(name)


def _asked(question: str) -> str:
    with Client(os.environ[SOCKET], "AF_UNIX") as connection:
        connection.send(question)
        answer: str = connection.recv()
    return answer


@contextmanager
def virtual_host() -> Iterator[str]:
    """URL of an empty virtual host of the run's RabbitMQ, removed afterwards."""
    url, _, api = shared_url("rabbitmq").partition(" ")
    parts = urlsplit(url)
    user = parts.username or "guest"
    api = api or os.environ.get("PENSTOCK_TEST_RABBITMQ_API") or _usual_api(parts)
    name = f"test-{uuid4().hex[:12]}"
    ask(api, f"/vhosts/{name}", "PUT", b"{}")
    ask(api, f"/permissions/{name}/{quote(user)}", "PUT", ALL_RIGHTS)
    yield parts._replace(path=f"/{name}").geturl()
    ask(api, f"/vhosts/{name}", "DELETE")


def _usual_api(parts: SplitResult) -> str:
    return f"http://{parts.username}:{parts.password}@{parts.hostname}:15672/api"


class Keeper(threading.Thread):
    """Runs in the one pytest process that outlives all others, and starts one server at a time."""

    def __init__(self) -> None:
        super().__init__(name="keeper", daemon=True)
        self._home = Path(tempfile.mkdtemp(prefix="penstock-run-"))
        self._listener = Listener(str(self._home / "socket"), "AF_UNIX")
        self._servers: dict[str, Server | RabbitContainer] = {}
        self._ahead: dict[str, subprocess.Popen[bytes]] = {}
        os.environ[SOCKET] = str(self._home / "socket")

    def run(self) -> None:
        """Answer workers until one asks for nothing."""
        while True:
            with self._listener.accept() as connection:
                try:
                    kind = connection.recv()
                    if not kind:
                        return
                    connection.send(self._answer(kind))
                except (EOFError, OSError):
                    continue  # a worker died while it asked

    def close(self) -> None:
        """End the servers."""
        with Client(os.environ.pop(SOCKET), "AF_UNIX") as connection:
            connection.send("")
        self.join()
        for server in self._servers.values():
            server.dispose()
        for making in self._ahead.values():
            with contextlib.suppress(ProcessLookupError):  # it is done
                os.killpg(making.pid, signal.SIGKILL)
            making.wait()
        self._listener.close()
        shutil.rmtree(self._home, ignore_errors=True)

    def _answer(self, kind: str) -> str:
        if kind in AHEAD:
            if kind not in self._ahead:
                self._ahead[kind] = in_background(AHEAD[kind])
            return ""
        try:
            if kind not in self._servers:
                in_container = kind == "rabbitmq" and docker_answers()
                self._servers[kind] = RabbitContainer().start() if in_container else shared_server(kind).start()
        except Exception as error:  # whatever it is, it belongs into the test that asked
            return f"{FAILED}{error}"
        server = self._servers[kind]
        if isinstance(server, RabbitContainer):
            return server.url
        url = getattr(server.kind, "maintenance_url", server.url)
        return f"{url} {getattr(server.kind, 'api', '')}".strip()


def in_background(module: str) -> "subprocess.Popen[bytes]":
    """Run a module in a process group of its own. It prints into nothing: who needs the result meets the failure."""
    command = [sys.executable, "-m", module]
    quiet = subprocess.DEVNULL
    return subprocess.Popen(command, cwd=ROOT, stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True)
